//! Which page of a list is wanted: parameters of an address, as the admin API and the console both take them.
//!
//! Comes in: texts from outside. Goes out: what the store's lists are asked with, or a 400 that says what is wrong.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::admin::request::invalid;
use super::{Problem, Reply};
use crate::store::{InstalledPage, Order, PageOf, Place, PlaceKey};

/// What a list may be asked with.
pub(in crate::control) const PAGE: [&str; 3] = ["search", "after", "limit"];
/// What the list of the installed applications may be asked with.
pub(in crate::control) const INSTALLED: [&str; 5] = ["search", "after", "limit", "state", "sort"];

/// A page of a list that is ordered by one text.
///
/// # Errors
/// 400 `invalid_request`.
pub(in crate::control) fn page<'a>(parameter: impl Fn(&str) -> Option<&'a str>, most: u32) -> Reply<PageOf> {
    Ok(PageOf {
        search: text(parameter("search"), "search")?,
        after: text(parameter("after"), "after")?,
        limit: limit(parameter("limit"), most)?,
    })
}

/// A page of the installed applications.
///
/// # Errors
/// 400 `invalid_request`.
pub(in crate::control) fn installed<'a>(
    parameter: impl Fn(&str) -> Option<&'a str>,
    most: u32,
) -> Reply<InstalledPage> {
    let state = parameter("state").map(|word| match word {
        "active" | "suspended" => word.parse().map_err(|_| unknown_state()),
        _ => Err(unknown_state()),
    });
    let sort = parameter("sort").unwrap_or(NEWEST_FIRST);
    let (falling, word) = sort.strip_prefix('-').map_or((false, sort), |word| (true, word));
    let order = ORDERS.iter().find(|(_, name)| *name == word).map(|(order, _)| *order);
    let order = order.ok_or_else(|| {
        invalid(
            "`sort` is one of name, authorized_at, last_used, state, with - before it for the last first.",
        )
    })?;
    let after = parameter("after").map(|text| place(text, order).ok_or_else(wrong_place));
    Ok(InstalledPage {
        search: text(parameter("search"), "search")?,
        state: state.transpose()?,
        order,
        falling,
        after: after.transpose()?,
        limit: limit(parameter("limit"), most)?,
    })
}

/// Where the page after `found` begins, by its last; nothing where `found` is less than was asked for.
pub(in crate::control) fn next<T>(
    found: &[T],
    limit: u32,
    place: impl FnOnce(&T) -> String,
) -> Option<String> {
    let full = found.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    found.last().filter(|_| full).map(place)
}

/// A place in the list of the installed applications, for an address.
pub(in crate::control) fn place_text(place: &Place) -> String {
    let key = match &place.key {
        PlaceKey::Text(text) => text.clone(),
        PlaceKey::Number(number) => number.to_string(),
    };
    URL_SAFE_NO_PAD.encode(format!("{}/{key}", place.application))
}

/// What comes after the order of the list in an address.
pub(in crate::control) const NEWEST_FIRST: &str = "-authorized_at";

fn place(text: &str, order: Order) -> Option<Place> {
    let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (application, key) = decoded.split_once('/')?;
    let key = match order {
        Order::Authorized | Order::LastUsed => PlaceKey::Number(key.parse().ok()?),
        // Whatever a name may be, but no text that a database would not take.
        Order::Name | Order::State => PlaceKey::Text(Some(key).filter(|key| !key.contains('\0'))?.to_owned()),
    };
    Some(Place { key, application: application.parse().ok()? })
}

fn text(value: Option<&str>, name: &str) -> Reply<Option<String>> {
    let Some(value) = value else { return Ok(None) };
    if value.chars().count() > LONGEST || value.chars().any(char::is_control) {
        return Err(invalid(format!("`{name}` is at most {LONGEST} characters that can be seen.")));
    }
    Ok(Some(value.to_owned()).filter(|text| !text.is_empty()))
}

fn limit(value: Option<&str>, most: u32) -> Reply<u32> {
    let Some(value) = value else { return Ok(most.min(USUAL)) };
    let limit = value.parse().ok().filter(|limit| (1..=most).contains(limit));
    limit.ok_or_else(|| invalid(format!("`limit` is a number from 1 to {most}.")))
}

fn unknown_state() -> Problem {
    invalid("`state` is active or suspended.")
}

fn wrong_place() -> Problem {
    invalid("`after` is no place in this list, or in another order of it.")
        .next("Begin at the first page: leave `after` out.")
}

const ORDERS: [(Order, &str); 4] = [
    (Order::Name, "name"),
    (Order::Authorized, "authorized_at"),
    (Order::LastUsed, "last_used"),
    (Order::State, "state"),
];

/// How many stand on a page unless said otherwise.
const USUAL: u32 = 100;
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<&'static str> {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    #[test]
    fn a_place_is_read_again_in_its_own_order_and_in_no_other() {
        let place = Place { key: PlaceKey::Text("report / hub".into()), application: "a-1".parse().unwrap() };
        let text = place_text(&place);
        assert_eq!(super::place(&text, Order::Name), Some(place));
        assert_eq!(super::place(&text, Order::Authorized), None);
    }

    #[test]
    fn what_is_not_given_is_the_first_page_with_the_newest_first() {
        let page = installed(asked(&[]), 1000).unwrap();
        assert_eq!((page.order, page.falling, page.limit), (Order::Authorized, true, USUAL));
        assert!(page.after.is_none() && page.search.is_none() && page.state.is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong: [&'static [(&str, &str)]; 7] = [
            &[("limit", "0")],
            &[("limit", "1001")],
            &[("limit", "ten")],
            &[("state", "revoked")],
            &[("sort", "size")],
            &[("after", "nowhere")],
            &[("search", "a\0b")],
        ];
        for pairs in wrong {
            assert!(installed(asked(pairs), 1000).is_err(), "{pairs:?}");
        }
    }
}
