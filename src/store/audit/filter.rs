//! A filter as a question: what is not asked for does not stand in it, so that a database need not guess its way.

use super::sql::whole;
use super::{AuditFilter, Span, Whom};
use crate::store::backend::{Query, Value, built};

/// The question for the records that fit.
pub(super) fn asked(filter: &AuditFilter) -> Query {
    let (compare, order, from) = match filter.page {
        Span::Before(before) => ("<", "place DESC", before),
        Span::After(after) => (">", "place", after),
    };
    let mut conditions = Conditions::default();
    let from = conditions.value(whole(from));
    conditions.and(format!("place {compare} {from}"));
    if let Some(account) = &filter.account {
        let account = conditions.value(account.as_str());
        conditions.and(format!("account = {account}"));
    }
    if let Some(application) = &filter.application {
        let own = conditions.value(application.as_str());
        let of_grant = match &filter.account {
            Some(account) => conditions.value(format!("{account}/{application}")),
            None => format!("account || '/' || {own}"),
        };
        conditions.and(format!("(subject = {own} OR subject = {of_grant})"));
    }
    if let Some(whom) = &filter.principal {
        conditions.by_or_about(whom);
    }
    if let Some(event) = &filter.event {
        let event_place = conditions.value(event.as_str());
        conditions.and(if event.ends_with('.') {
            format!("substr(event, 1, {}) = {event_place}", event.chars().count())
        } else {
            format!("event = {event_place}")
        });
    }
    for (compare, at) in [(">=", filter.since), ("<", filter.until)] {
        if let Some(at) = at {
            let at = conditions.value(at.as_microsecond());
            conditions.and(format!("at {compare} {at}"));
        }
    }
    if let Some(revision) = filter.revision {
        // As every detail has it that has one: as a number, among the others.
        let [within, last] = [",", "}"].map(|end| format!("%\"revision\":{revision}{end}%"));
        let (within, last) = (conditions.value(within), conditions.value(last));
        conditions.and(format!("(detail LIKE {within} OR detail LIKE {last})"));
    }
    if !filter.calls {
        conditions.and("kind <> 'calls'".to_owned());
    }
    let limit = conditions.value(filter.limit.min(1000));
    let text = format!("SELECT * FROM audit WHERE {} ORDER BY {order} LIMIT {limit}", conditions.text);
    conditions.values.into_iter().fold(built(text), Query::bind)
}

#[derive(Default)]
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Takes a value, and answers the place that stands for it.
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn and(&mut self, condition: String) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
        self.text.push_str(&condition);
    }

    fn by_or_about(&mut self, whom: &Whom) {
        let login = self.value(whom.login.as_str());
        let mut any = format!("actor = {login} OR subject = {login} OR principal = {login}");
        if let Some(key) = &whom.key {
            let key = self.value(key.as_str());
            any =
                format!("{any} OR principal = {key} OR subject = {key} OR subject = account || '/' || {key}");
        }
        self.and(format!("({any})"));
    }
}
