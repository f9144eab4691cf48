//! The layer as a whole, over loopback: a plain proxy made of it, between raw sockets.

mod faults;
mod inside;
mod proxy;
mod streams;
mod world;
