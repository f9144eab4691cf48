//! Texts from outside as the audit keeps and shows them: not endless, on one line, and no more than text to any terminal.

use std::fmt::Write as _;

use serde_json::Value;
use serde_json::value::RawValue;

/// A detail as it is kept: one line of JSON in plain characters. What is no JSON becomes a JSON text; what is too long
/// is cut, and says so.
#[must_use]
pub fn detail(text: &str) -> Box<RawValue> {
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let mut compact = harmless(value.to_string());
    if compact.len() > LONGEST_DETAIL {
        let cut: String = text.chars().take(LONGEST_DETAIL / 16).collect();
        compact = harmless(serde_json::json!({ "cut": true, "begins": cut }).to_string());
    }
    RawValue::from_string(compact).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A text as it is kept in a column: not endless, and without the one character that a database refuses.
#[must_use]
pub fn text(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

/// JSON with every character that could move a cursor, reorder or hide text written as an escape. Such characters stand
/// only within the texts of JSON, where the escape means the same.
#[must_use]
pub fn harmless(json: String) -> String {
    if !json.chars().any(is_odd) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_odd(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to memory does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Controls, line breaks, bidirectional and invisible characters.
pub(super) fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}'
        )
}

pub(super) const LONGEST_DETAIL: usize = 64 * 1024;
const LONGEST_TEXT: usize = 512;
