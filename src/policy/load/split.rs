//! Where each policy of a Cedar file begins and ends.
//!
//! Cedar tells the place of a mistake, not that of a policy; a policy without `@id` must be pointed at too. Comes in:
//! a file's text. Goes out: byte ranges, each from the first letter of a policy to its semicolon. Understands strings
//! and comments and nothing else; what is wrong inside a range is for the parser to say.

use std::ops::Range;

/// The ranges of `text` that hold one policy each.
pub(super) fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut begin = None;
    let mut at = Place::Code;
    let mut last = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((index, letter)) = letters.next() {
        let after = index.saturating_add(letter.len_utf8());
        at = match (at, letter) {
            (Place::Comment, '\n') => Place::Code,
            (Place::Text, '\\') => {
                letters.next();
                Place::Text
            }
            (Place::Text, '"') => Place::Code,
            (Place::Code, '/') if letters.peek().is_some_and(|(_, next)| *next == '/') => Place::Comment,
            (Place::Code, '"') => Place::Text,
            (same, _) => same,
        };
        let outside = at == Place::Code && !letter.is_whitespace();
        if outside || at == Place::Text {
            begin.get_or_insert(index);
            last = after;
        }
        if outside && letter == ';' {
            found.extend(begin.take().map(|start| start..after));
        }
    }
    found.extend(begin.map(|start| start..last.max(start)));
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Code,
    Text,
    Comment,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        pieces(text).into_iter().map(|range| text.get(range).unwrap()).collect()
    }

    #[test]
    fn semicolons_in_strings_and_comments_end_nothing() {
        let text = "// a; b\n@id(\"x;\\\";\") // c;\nforbid ( principal );\n  permit();\n// end;";
        assert_eq!(texts(text), ["@id(\"x;\\\";\") // c;\nforbid ( principal );", "permit();"]);
    }

    #[test]
    fn what_lacks_its_semicolon_is_a_piece_of_its_own() {
        assert_eq!(texts("forbid(); permit( \n\n"), ["forbid();", "permit("]);
        assert_eq!(texts(" \n// nothing\n"), [""; 0]);
    }
}
