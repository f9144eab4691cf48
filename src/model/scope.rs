//! OAuth scopes: their spelling, sets of them, and which scope implies which.
//!
//! A product scope (`/acs/ecs`) implies its parts (`/acs/ecs:read`, `/acs/ecs:write`): who granted the whole has
//! granted the part. What a scope means in actions is the catalogue's business (`policy::catalogue`).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One scope token (RFC 6749 §3.3), such as `openid` or `/acs/ecs:read`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Arc<str>);

/// The text is not a scope token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is 1 to 128 printable characters without space, quote or backslash (RFC 6749 section 3.3), but this is {0:?}"
)]
pub struct NotAScope(String);

impl Scope {
    /// The scope as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The product scope that this one is a part of: `/acs/ecs` for `/acs/ecs:read`.
    #[must_use]
    pub fn whole(&self) -> Option<Self> {
        let (whole, part) = self.0.rsplit_once(':')?;
        (whole.starts_with('/') && matches!(part, "read" | "write")).then(|| Self(Arc::from(whole)))
    }

    /// Whether this scope is `other` or the product that `other` is a part of.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self == other || other.whole().is_some_and(|whole| whole == *self)
    }
}

impl FromStr for Scope {
    type Err = NotAScope;
    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(NotAScope(text.chars().take(140).collect()));
        }
        Ok(Self(Arc::from(text)))
    }
}

impl TryFrom<String> for Scope {
    type Error = NotAScope;
    fn try_from(text: String) -> Result<Self, NotAScope> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0.as_ref().to_owned()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scopes, in one order, printed with single spaces (RFC 6749 §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// No scope at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether exactly this scope is in the set. For "may it be used" ask [`ScopeSet::covers`].
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Whether the set holds `scope` or the product that it is a part of.
    #[must_use]
    pub fn covers(&self, scope: &Scope) -> bool {
        self.contains(scope) || scope.whole().is_some_and(|whole| self.contains(&whole))
    }

    /// Adds a scope.
    pub fn insert(&mut self, scope: Scope) {
        self.0.insert(scope);
    }

    /// Everything in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// What of this set is not in the other, to the letter.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// What of this set the other one does not cover: `{/acs/ecs, /acs/ecs:read}` beyond `{/acs/ecs:read}` is
    /// `{/acs/ecs}`.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Self {
        self.0.iter().filter(|scope| !other.covers(scope)).cloned().collect()
    }

    /// The scopes that both sets allow, the narrower spelling of each: `{/acs/ecs}` and `{/acs/ecs:read}` meet in
    /// `{/acs/ecs:read}`. Never wider than either.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let mine = self.0.iter().filter(|scope| other.covers(scope));
        let theirs = other.0.iter().filter(|scope| self.covers(scope));
        Self(mine.chain(theirs).cloned().collect())
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl FromStr for ScopeSet {
    type Err = NotAScope;
    /// Reads the space-separated form. Repeated scopes count once; an empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, NotAScope> {
        text.split(' ').filter(|part| !part.is_empty()).map(str::parse).collect()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> ScopeSet {
        text.parse().unwrap()
    }

    #[test]
    fn a_product_scope_covers_its_parts() {
        assert!(set("/acs/ecs").covers(&"/acs/ecs:read".parse().unwrap()));
    }

    #[test]
    fn a_part_does_not_cover_its_product_nor_its_sibling() {
        assert!(!set("/acs/ecs:read").covers(&"/acs/ecs".parse().unwrap()));
        assert!(!set("/acs/ecs:read").covers(&"/acs/ecs:write".parse().unwrap()));
        assert!(!set("/acs/ecs").covers(&"/acs/ecsx:read".parse().unwrap()));
    }

    #[test]
    fn sets_meet_in_the_narrower_scope() {
        assert_eq!(set("openid /acs/ecs").meet(&set("/acs/ecs:read profile")), set("/acs/ecs:read"));
        assert_eq!(set("/acs/ecs:read").meet(&set("/acs/ecs:write")), ScopeSet::new());
    }

    #[test]
    fn what_a_whole_covers_is_not_beyond_it() {
        assert_eq!(set("/acs/ecs /acs/ecs:read").beyond(&set("/acs/ecs:read")), set("/acs/ecs"));
        assert_eq!(set("/acs/ecs /acs/ecs:read").beyond(&set("/acs/ecs")), ScopeSet::new());
    }

    #[test]
    fn a_scope_with_a_quote_or_a_space_is_refused() {
        for text in ["", "a\"b", "a\\b", "a b", "a\u{7f}"] {
            assert!(text.parse::<Scope>().is_err(), "{text:?} was taken");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_two_sets_share_is_covered_by_both(
            a in proptest::collection::vec("/acs/(a|b)(:read|:write)?", 0..4),
            b in proptest::collection::vec("/acs/(a|b)(:read|:write)?", 0..4),
        ) {
            let (a, b) = (set(&a.join(" ")), set(&b.join(" ")));
            for scope in a.meet(&b).iter() {
                proptest::prop_assert!(a.covers(scope) && b.covers(scope));
            }
            proptest::prop_assert_eq!(a.meet(&b), b.meet(&a));
        }
    }
}
