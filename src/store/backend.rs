//! What a database does for the statements of [`super::sql`]: the seam between the store's rules, written once, and
//! SQLite or PostgreSQL.
//!
//! Comes in: statements with values. Goes out: rows, taken out of the driver. Statements are in the SQL that both
//! understand; where they differ, the schema hides it (`store_clock`) or a method here says it.

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::database::HasStatementCache;
use sqlx::{AssertSqlSafe, ColumnIndex, Database, Decode, Encode, TypeInfo, ValueRef};
use tokio::sync::{broadcast, watch};

use super::{Acknowledged, StoreError};
use crate::model::id::Seq;

/// A database.
#[async_trait]
pub(super) trait Backend: Send + Sync + 'static {
    /// What errors call it. Holds no secret.
    fn place(&self) -> &Arc<str>;
    /// Every row of the answer to one question.
    async fn rows(&self, query: Query) -> Result<Vec<Row>, StoreError>;
    /// A session that sees one state from its first question to its last.
    async fn reading(&self) -> Result<Box<dyn Session>, StoreError>;
    /// A session that is the only one in all processes that writes.
    async fn writing(&self) -> Result<Box<dyn Session>, StoreError>;
    /// The newest place in the change log that this process knows of.
    fn woken(&self) -> &watch::Sender<Seq>;
    /// Tells the other control nodes; see [`super::Sidecars::announce`].
    async fn announce(&self, word: &Acknowledged) -> Result<(), StoreError>;
    /// What the others tell.
    fn announcements(&self) -> broadcast::Receiver<Acknowledged>;
    /// The columns of a table as `column` and `kind`, in order; `$1` is the table.
    fn columns(&self) -> &'static str;
    /// What is to be said in the target's transaction before rows are copied into it.
    fn before_copy(&self) -> &'static [&'static str];
    /// What must be said after rows came with their numbers given.
    fn after_copy(&self) -> &'static [&'static str];
    /// Ends the use of it.
    async fn close(&self);
}

/// A transaction. Dropping it without [`Session::commit`] leaves no trace.
#[async_trait]
pub(super) trait Session: Send {
    /// Every row of the answer.
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError>;
    /// Runs a statement and says how many rows it touched.
    async fn run(&mut self, query: Query) -> Result<u64, StoreError>;
    /// Runs statements without values and answers.
    async fn steer(&mut self, statements: &'static str) -> Result<(), StoreError>;
    /// Makes all of it durable, and tells other processes that the change log has come to `logged`.
    async fn commit(self: Box<Self>, logged: Option<Seq>) -> Result<(), StoreError>;
}

/// A value on its way in or out. Each kind has its own nothing, because PostgreSQL wants to know nothing of what.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Text.
    Text(Option<String>),
    /// A whole number.
    Number(Option<i64>),
    /// Yes or no. SQLite answers numbers in its place.
    Flag(Option<bool>),
    /// Bytes.
    Bytes(Option<Vec<u8>>),
}

/// A statement with its values.
#[derive(Clone)]
pub(super) struct Query {
    text: Text,
    values: Vec<Value>,
}

#[derive(Clone)]
enum Text {
    Fixed(&'static str),
    Built(String),
}

/// A statement. Its text is fixed at compile time, so that no value can become part of it.
pub(super) fn sql(text: &'static str) -> Query {
    Query { text: Text::Fixed(text), values: Vec::new() }
}

/// A statement put together from fixed pieces: `pieces` never holds a value.
pub(super) fn built(pieces: String) -> Query {
    Query { text: Text::Built(pieces), values: Vec::new() }
}

/// `rows` rows of `columns` places for values: `($1, $2), ($3, $4)`.
pub(super) fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns).map(|place| format!("${}", row * columns + place)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

impl Query {
    /// Gives the next value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// As a driver wants it.
    pub(super) fn prepared<DB: Database + HasStatementCache>(
        self,
    ) -> sqlx::query::Query<'static, DB, DB::Arguments>
    where
        Option<String>: Encode<'static, DB> + sqlx::Type<DB>,
        Option<i64>: Encode<'static, DB> + sqlx::Type<DB>,
        Option<bool>: Encode<'static, DB> + sqlx::Type<DB>,
        Option<Vec<u8>>: Encode<'static, DB> + sqlx::Type<DB>,
    {
        let query = match self.text {
            Text::Fixed(text) => sqlx::query(text),
            // A text of its own is not worth a place among the prepared statements.
            Text::Built(text) => sqlx::query(AssertSqlSafe(text)).persistent(false),
        };
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Flag(flag) => query.bind(flag),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }
}

/// One row of an answer.
pub(super) struct Row {
    columns: Arc<[Box<str>]>,
    values: Vec<Value>,
    place: Arc<str>,
}

impl Row {
    /// Takes rows out of their driver.
    pub(super) fn taken<R>(rows: &[R], place: &Arc<str>) -> Result<Vec<Self>, sqlx::Error>
    where
        R: sqlx::Row,
        usize: ColumnIndex<R>,
        String: for<'r> Decode<'r, R::Database> + sqlx::Type<R::Database>,
        i32: for<'r> Decode<'r, R::Database> + sqlx::Type<R::Database>,
        i64: for<'r> Decode<'r, R::Database> + sqlx::Type<R::Database>,
        bool: for<'r> Decode<'r, R::Database> + sqlx::Type<R::Database>,
        Vec<u8>: for<'r> Decode<'r, R::Database> + sqlx::Type<R::Database>,
    {
        let names = rows.first().map_or(&[][..], |row| row.columns());
        let columns: Arc<[Box<str>]> = names.iter().map(|column| sqlx::Column::name(column).into()).collect();
        let value = |row: &R, at: usize| {
            let raw = row.try_get_raw(at)?;
            let (kind, nothing) = (raw.type_info().name().to_owned(), raw.is_null());
            Ok(match kind.as_str() {
                _ if nothing => Value::Text(None),
                "INTEGER" | "INT8" => Value::Number(Some(row.try_get(at)?)),
                "INT4" => Value::Number(Some(i64::from(row.try_get::<i32, _>(at)?))),
                "BOOL" | "BOOLEAN" => Value::Flag(Some(row.try_get(at)?)),
                "BLOB" | "BYTEA" => Value::Bytes(Some(row.try_get(at)?)),
                _ => Value::Text(Some(row.try_get(at)?)),
            })
        };
        rows.iter()
            .map(|row| {
                let values: Result<_, sqlx::Error> = (0..row.len()).map(|at| value(row, at)).collect();
                Ok(Self { columns: Arc::clone(&columns), values: values?, place: Arc::clone(place) })
            })
            .collect()
    }

    /// This column makes no sense.
    pub(super) fn unreadable(&self, column: &str, why: impl Display) -> StoreError {
        StoreError::Corrupt { what: format!("{}, {column}", self.place), why: why.to_string() }
    }

    /// A column, as it came.
    pub(super) fn value(&self, column: &str) -> Result<&Value, StoreError> {
        let at = self.columns.iter().position(|name| **name == *column);
        at.and_then(|at| self.values.get(at)).ok_or_else(|| self.unreadable(column, "it is not there"))
    }

    /// A column as it is.
    pub(super) fn get<'r, T: Held<'r>>(&'r self, column: &str) -> Result<T, StoreError> {
        T::from_value(self.value(column)?).ok_or_else(|| self.unreadable(column, "it is of another kind"))
    }

    /// A number that is not negative.
    pub(super) fn number(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|error| self.unreadable(column, error))
    }
}

/// What a value can be taken for.
pub(super) trait Held<'r>: Sized {
    /// Nothing when it is of another kind.
    fn from_value(value: &'r Value) -> Option<Self>;
}

impl Value {
    /// Whether it is nothing.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Text(None) | Self::Number(None) | Self::Flag(None) | Self::Bytes(None))
    }
}

impl<'r> Held<'r> for &'r str {
    fn from_value(value: &'r Value) -> Option<Self> {
        if let Value::Text(text) = value { text.as_deref() } else { None }
    }
}

impl Held<'_> for String {
    fn from_value(value: &Value) -> Option<Self> {
        <&str>::from_value(value).map(str::to_owned)
    }
}

impl Held<'_> for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Number(number) = value { *number } else { None }
    }
}

impl Held<'_> for u32 {
    fn from_value(value: &Value) -> Option<Self> {
        Self::try_from(i64::from_value(value)?).ok()
    }
}

impl Held<'_> for bool {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Flag(flag) => *flag,
            Value::Number(number) => number.map(|number| number != 0),
            Value::Text(_) | Value::Bytes(_) => None,
        }
    }
}

impl<'r> Held<'r> for &'r [u8] {
    fn from_value(value: &'r Value) -> Option<Self> {
        if let Value::Bytes(bytes) = value { bytes.as_deref() } else { None }
    }
}

impl Held<'_> for Vec<u8> {
    fn from_value(value: &Value) -> Option<Self> {
        <&[u8]>::from_value(value).map(<[u8]>::to_vec)
    }
}

impl<'r, T: Held<'r>> Held<'r> for Option<T> {
    fn from_value(value: &'r Value) -> Option<Self> {
        if value.is_nothing() { Some(None) } else { T::from_value(value).map(Some) }
    }
}

macro_rules! value_from {
    ($($kind:ident of $($type:ty => $turn:expr),+;)+) => { $($(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$kind(Some($turn(value)))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$kind(value.map($turn))
            }
        }
    )+)+ };
}

value_from! {
    Text of &str => str::to_owned, &String => String::clone, String => std::convert::identity;
    Number of i64 => std::convert::identity, u32 => i64::from;
    Flag of bool => std::convert::identity;
    Bytes of &[u8] => <[u8]>::to_vec, &Vec<u8> => Vec::clone;
}
