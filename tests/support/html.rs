//! Enough of HTML to do what a person does without JavaScript: read the text, tick boxes, press buttons. It
//! knows tags and attributes, not any page of ours, so that markup may change freely.

/// A form as it stands on a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) method: String,
    pub(crate) controls: Vec<Control>,
}

/// An input or a button of a form.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) checked: bool,
    pub(crate) disabled: bool,
}

impl Form {
    /// Whether it has a control of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.controls.iter().any(|control| control.name == name)
    }

    /// What a browser would post if nothing was touched and no button pressed.
    pub(crate) fn untouched(&self) -> Vec<(String, String)> {
        let posted = |control: &&Control| match control.kind.as_str() {
            "submit" | "button" | "reset" | "image" => false,
            "checkbox" | "radio" => control.checked,
            _ => true,
        };
        self.controls
            .iter()
            .filter(|control| !control.disabled && !control.name.is_empty())
            .filter(posted)
            .map(|control| (control.name.clone(), control.value.clone()))
            .collect()
    }
}

/// The forms of a page, in order.
pub(crate) fn forms(html: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut open = None::<Form>;
    for tag in tags(html) {
        let attribute = |name: &str| tag.attribute(name).unwrap_or_default();
        match tag.name.as_str() {
            "form" => {
                let method = tag.attribute("method").unwrap_or_else(|| "get".to_owned()).to_lowercase();
                open = Some(Form { action: attribute("action"), method, controls: Vec::new() });
            }
            "/form" => forms.extend(open.take()),
            "input" | "button" | "textarea" => {
                let kind = match (tag.name.as_str(), attribute("type").to_lowercase()) {
                    // What stands between its tags is not read: tests type their own.
                    ("textarea", _) => "textarea".to_owned(),
                    ("button", kind) if kind.is_empty() => "submit".to_owned(),
                    (_, kind) => kind,
                };
                let on = if kind == "checkbox" || kind == "radio" { "on" } else { "" };
                let value = tag.attribute("value").unwrap_or_else(|| on.to_owned());
                let control = Control {
                    name: attribute("name"),
                    value,
                    checked: tag.attribute("checked").is_some(),
                    disabled: tag.attribute("disabled").is_some(),
                    kind,
                };
                open.iter_mut().for_each(|form| form.controls.push(control.clone()));
            }
            _ => {}
        }
    }
    forms
}

/// What a person can read on a page: the text without tags, styles and scripts, spaces run together.
pub(crate) fn text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let name = after.split([' ', '>', '\n']).next().unwrap_or_default();
        rest = match name {
            "style" | "script" => after.split_once(&format!("</{name}>")).unwrap_or(("", "")).1,
            _ => after.split_once('>').unwrap_or(("", "")).1,
        };
    }
    text.push_str(rest);
    decode(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        let end = after.find([' ', '>', '\n', '\t']).unwrap_or(after.len());
        let (name, mut inside) = after.split_at(end);
        let mut attributes = Vec::new();
        loop {
            inside = inside.trim_start_matches([' ', '\n', '\t', '/']);
            if inside.is_empty() || inside.starts_with('>') {
                break;
            }
            let end = inside.find(['=', ' ', '>', '\n', '\t']).unwrap_or(inside.len());
            let (key, after) = inside.split_at(end);
            let (value, after) = value(after);
            attributes.push((key.to_lowercase(), decode(value)));
            inside = after;
        }
        tags.push(Tag { name: name.trim_end_matches('/').to_lowercase(), attributes });
        rest = inside;
    }
    tags
}

/// An attribute's value, quoted or bare or absent, and what comes after it.
fn value(text: &str) -> (&str, &str) {
    let Some(text) = text.strip_prefix('=') else { return ("", text) };
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text.get(1..).unwrap().split_once(quote).unwrap(),
        _ => text.split_at(text.find([' ', '>', '\n', '\t']).unwrap_or(text.len())),
    }
}

fn decode(text: &str) -> String {
    let numbers = [("&#38;", "&"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'")];
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2F;", "/")];
    let last = [("&nbsp;", " "), ("&amp;", "&")];
    [numbers.as_slice(), &names, &last]
        .concat()
        .iter()
        .fold(text.to_owned(), |text, (written, meant)| text.replace(written, meant))
}
