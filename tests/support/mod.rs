//! What the tests stand on: the world they start, the people and applications that act in it, and the
//! means to look at the outcome. Nothing here imports the product: it is known only from outside.

pub(crate) mod application;
pub(crate) mod chromium;
pub(crate) mod cloud;
pub(crate) mod eventually;
pub(crate) mod fault;
pub(crate) mod fleet;
pub(crate) mod golden;
pub(crate) mod html;
pub(crate) mod http;
pub(crate) mod line;
pub(crate) mod pages;
pub(crate) mod person;
pub(crate) mod postgres;
pub(crate) mod provider;
pub(crate) mod raw;
#[expect(dead_code, reason = "shared with the unit tests, which need more of it")]
pub(crate) mod redis;
pub(crate) mod script;
pub(crate) mod sources;
pub(crate) mod standalone;
pub(crate) mod story;
pub(crate) mod traffic;
pub(crate) mod witness;
pub(crate) mod world;

pub(crate) use application::{Application, Attempt, Tokens};
pub(crate) use eventually::eventually;
pub(crate) use http::{Answer, Call, get, post};
pub(crate) use person::{Page, Person};
pub(crate) use world::World;
