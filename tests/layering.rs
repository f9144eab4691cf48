//! Who may use whom. The table is the architecture; the sources are read, so that it stays true.

use std::collections::BTreeSet;

use crate::support::sources::sources;

/// A module, and the modules that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("observe", &["model", "config"]),
    ("policy", &["model"]),
    ("token", &["model"]),
    ("store", &["model", "config"]),
    // `token`, since records in the shared tier count only with control's signature.
    ("grants", &["model", "config", "policy", "token", "store", "observe"]),
    ("net", &["config", "observe"]),
    ("sidecar", &["model", "config", "policy", "token", "grants", "net", "observe"]),
    ("control", &["model", "config", "policy", "token", "store", "grants", "net", "observe"]),
    ("demo", ALL),
    ("cli", ALL),
    ("main", ALL),
    ("lib", ALL),
    ("docs", &[]),
];
const ALL: &[&str] = &[
    "model", "config", "observe", "policy", "token", "store", "grants", "net", "sidecar", "control", "demo",
    "cli",
];

#[test]
fn a_module_uses_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for source in sources() {
        let layer = source.layer();
        let allowed = LAYERS.iter().find(|(name, _)| *name == layer);
        let Some((_, allowed)) = allowed else {
            wrong.push(format!("{layer} stands in no row of the table"));
            continue;
        };
        // As many `super` as the module is deep lead to the root of the crate, like `crate` does.
        let depth = source.depth();
        let root = "super::".repeat(depth);
        let text = source.code().collect::<Vec<_>>().join("\n");
        let text = if depth == 0 { text } else { text.replace(&root, "crate::") };
        for used in used(&text) {
            if used != layer && !allowed.contains(&used.as_str()) {
                wrong.push(format!("src/{} uses {used}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the table in tests/layering.rs:\n{}", wrong.join("\n"));
}

#[test]
fn the_sidecar_sees_neither_the_store_nor_the_control_plane_which_does_not_see_it() {
    let row = |name: &str| LAYERS.iter().find(|(layer, _)| *layer == name).unwrap().1;
    assert!(!row("sidecar").contains(&"store") && !row("sidecar").contains(&"control"));
    assert!(!row("control").contains(&"sidecar"));
}

#[test]
fn the_table_has_no_cycle() {
    // Rows stand in an order in which each uses only rows above it.
    let mut above = BTreeSet::new();
    for (layer, uses) in LAYERS.iter().filter(|(_, uses)| *uses != ALL) {
        assert!(uses.iter().all(|used| above.contains(used)), "{layer} uses what stands below it");
        above.insert(*layer);
    }
}

#[test]
fn a_use_is_found_in_any_of_its_spellings() {
    let text = "use crate::model::{id, time};\nuse crate::{\n    config::File,\n    net,\n};\nlet x = crate::store::open();";
    let found: Vec<_> = used(text).into_iter().collect();
    assert_eq!(found, ["config", "model", "net", "store"]);
}

/// The modules of this crate that a text names after `crate::` or `consentry::`.
fn used(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in text.split("crate::").skip(1).chain(text.split("consentry::").skip(1)) {
        let word = |text: &str| -> String {
            text.trim_start().chars().take_while(|found| found.is_alphanumeric() || *found == '_').collect()
        };
        match rest.strip_prefix('{') {
            None => used.extend([word(rest)]),
            Some(group) => used.extend(heads(group).into_iter().map(word)),
        }
    }
    used.retain(|name| ALL.contains(&name.as_str()));
    used
}

/// The beginnings of the items in a group `a::{b, c}, d}`.
fn heads(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut heads) = (0, 0, Vec::new());
    for (at, found) in group.char_indices() {
        match found {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.extend(group.get(from..at));
                return heads;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.extend(group.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    heads
}
