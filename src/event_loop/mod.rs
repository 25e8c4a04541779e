//! What the models with an event loop share, the reactor and the coroutines: the poll, and when
//! such a server accepts, pauses and stops.

pub mod lifecycle;
pub mod poller;
