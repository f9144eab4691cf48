//! Consentry: an authorization sidecar for third-party applications.
//!
//! An administrator of an account authorizes an application once; from then on every call that it makes for a
//! user of that account passes a sidecar, which reads the stored grant, decides in process with Cedar, and forwards
//! the call with the user's assumed identity, never beyond the granted scopes.
//!
//! # The life of a call
//!
//! Six steps, each one's output the next one's input. They stand on one screen in [`sidecar`].
//!
//! | step | goes out | what does it |
//! | --- | --- | --- |
//! | read | a [`Call`](model::call::Call): an action on a resource | [`net::canonical`], then the route's adapter |
//! | identify | a [`Caller`](model::caller::Caller), proven by a token | [`token::verify`] |
//! | find | a [`Standing`](grants::Standing): the caller's compiled grant | [`grants::Grants::find`] |
//! | decide | a [`Permit`](policy::Permit) or a [`Denial`](policy::Denial) | [`policy::decide`] |
//! | assume | the identity that the upstream will see | [`token::assertion`] |
//! | forward | the upstream's answer; the permit is used up | [`net::upstream`] |
//!
//! A step that fails ends in a refusal, and every end leaves a [`Decision`](model::decision::Decision).
//! On the other side [`control`] turns an administrator's consent into a [`Grant`](model::grant::Grant) in the
//! [`store`], whose change log tells sidecars what to forget.
//!
//! # Layers
//!
//! A module uses only what its row allows; a test reads the sources and holds them to it.
//!
//! | layer | what it is | may use |
//! | --- | --- | --- |
//! | [`model`] | the facts: accounts, applications, scopes, grants, calls | |
//! | [`config`] | settings, as typed in a file | model |
//! | [`observe`] | logs, metrics, decision records | model, config |
//! | [`policy`] | from facts to a permit or a denial | model |
//! | [`token`] | what applications and upstreams are shown, and how it is signed | model |
//! | [`store`] | the durable truth | model, config |
//! | [`grants`] | a grant on its way to a decision | model, config, policy, store, observe |
//! | [`net`] | sockets and HTTP; knows nothing of grants | config, observe |
//! | [`sidecar`] | the proxy that decides and forwards | all above but store |
//! | [`control`] | log-in, consent, console, admin API | all above but sidecar |
//! | [`demo`], [`cli`] | a small world to try it in; the command line | everything |
//!
//! [`docs`] holds the guides.

pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod docs;
pub mod grants;
pub mod model;
pub mod net;
pub mod observe;
pub mod policy;
pub mod sidecar;
pub mod store;
pub mod token;
