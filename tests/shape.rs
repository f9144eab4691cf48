//! The source stays small in every direction: files, folders, depth; and every module says what it is.

use std::collections::BTreeMap;

use crate::support::sources::sources;

#[test]
fn no_file_is_long() {
    let long = sources().into_iter().filter(|source| !source.is_test()).filter_map(|source| {
        let lines = source.code().count();
        (lines > 400).then(|| format!("src/{}: {lines} lines of code", source.path.display()))
    });
    let long: Vec<_> = long.collect();
    assert!(long.is_empty(), "more than 400 lines:\n{}", long.join("\n"));
}

#[test]
fn no_folder_is_full_or_deep() {
    let mut folders = BTreeMap::<_, usize>::new();
    for source in sources() {
        let folder = source.path.parent().unwrap().to_owned();
        assert!(folder.components().count() <= 2, "deeper than two folders: {}", source.path.display());
        *folders.entry(folder).or_default() += 1;
    }
    let full: Vec<_> = folders.into_iter().filter(|(_, files)| *files > 12).collect();
    assert!(full.is_empty(), "more than 12 files: {full:?}");
}

#[test]
fn every_module_begins_by_saying_what_it_is() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    let silent: Vec<_> = silent.map(|source| format!("src/{}", source.path.display())).collect();
    assert!(silent.is_empty(), "no //! at the beginning:\n{}", silent.join("\n"));
}

#[test]
fn names_say_what_a_thing_is() {
    const VAGUE: &[&str] = &[
        "util", "utils", "common", "helper", "helpers", "manager", "handler", "service", "engine", "context",
    ];
    let vague = sources().into_iter().filter(|source| {
        let stem = source.path.file_stem().unwrap().to_string_lossy().into_owned();
        VAGUE.contains(&stem.as_str())
            || source.path.iter().any(|part| VAGUE.iter().any(|name| part == *name))
    });
    let vague: Vec<_> = vague.map(|source| format!("src/{}", source.path.display())).collect();
    assert!(vague.is_empty(), "{}", vague.join("\n"));
}

#[test]
fn a_folder_is_a_mod_rs_and_no_file_beside_it() {
    let found = sources();
    for source in &found {
        let folder = source.path.with_extension("");
        let twin = folder.join("mod.rs");
        assert!(
            found.iter().all(|other| other.path != twin),
            "{} beside {}",
            source.path.display(),
            twin.display()
        );
    }
}
