//! Comparison with a file of `tests/golden`. With `BLESS=1` in the environment the file is rewritten, and
//! the change is read in the diff.

use std::path::Path;

/// Fails the test when `found` differs from the golden file `name`, and shows the first line that does.
pub(crate) fn assert_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let found = format!("{}\n", found.trim_end());
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    if wanted == found {
        return;
    }
    let line = wanted.lines().zip(found.lines()).take_while(|(wanted, found)| wanted == found).count();
    panic!(
        "tests/golden/{name} differs from line {}:\n  wanted: {}\n  found:  {}\nWhen the new text is right, rewrite it with BLESS=1.\n",
        line + 1,
        wanted.lines().nth(line).unwrap_or("(end)"),
        found.lines().nth(line).unwrap_or("(end)"),
    );
}
