//! The bodies of S3, as far as they name something.
//!
//! Comes in: a body. Goes out: each element and the text in it. What one reader could take for text and another could
//! not (a type of its own, a comment in the middle, another alphabet) is refused.

use roxmltree::{Document, NodeType, ParsingOptions};

use crate::sidecar::adapter::NotUnderstood;

/// Tells of each element by its name without a namespace, with its text where it holds nothing else.
pub(super) fn elements(
    body: &[u8],
    mut each: impl FnMut(&str, Option<&str>) -> Result<(), NotUnderstood>,
) -> Result<(), NotUnderstood> {
    let text = std::str::from_utf8(body).map_err(|_| XML)?;
    // A declaration of another alphabet would be believed elsewhere.
    let declared =
        text.trim_start_matches('\u{feff}').strip_prefix("<?xml").and_then(|rest| rest.split_once("?>"));
    if declared
        .is_some_and(|(said, _)| said.contains("encoding") && !said.to_ascii_lowercase().contains("utf-8"))
    {
        return Err(XML);
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|_| XML)?;
    for node in document.descendants() {
        match node.node_type() {
            NodeType::Root | NodeType::Text => {}
            NodeType::Comment | NodeType::PI => return Err(XML),
            NodeType::Element => {
                let mut children = node.children();
                let text = match (children.next(), children.next()) {
                    (None, _) => Some(""),
                    (Some(only), None) if only.is_text() => Some(only.text().ok_or(XML)?),
                    (Some(_), _) => None,
                };
                each(node.tag_name().name(), text)?;
            }
        }
    }
    Ok(())
}

/// Nodes in one body: what S3 deletes at once has less.
const NODES: u32 = 20_000;
const XML: NotUnderstood = NotUnderstood::Malformed { what: "the body", expected: "plain XML in UTF-8" };

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<String>, NotUnderstood> {
        let mut all = Vec::new();
        elements(body.as_bytes(), |name, text| {
            all.extend(text.map(|text| format!("{name}={text}")));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn elements_are_found_with_their_text() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a &amp; b&#xD;</Key></Object>\
            <Object><Key><![CDATA[<x>]]></Key></Object></Delete>";
        assert_eq!(read(body).unwrap(), ["Key=a & b\r", "Key=<x>"]);
    }

    #[test]
    fn what_another_could_read_otherwise_is_refused() {
        for body in [
            "",
            "{}",
            "<a><b></a></b>",
            "<a/><a/>",
            "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
            "<a><b>x<!-- y -->z</b></a>",
            "<a><?php x?></a>",
            "<?xml version=\"1.0\" encoding=\"UTF-7\"?><a/>",
        ] {
            assert!(read(body).is_err(), "{body}");
        }
        assert!(elements(b"<a>\xff</a>", |_, _| Ok(())).is_err());
    }
}
