//! In place of the model `uring`, on systems other than Linux.

use crate::handler::Handler;
use crate::limits::Limits;
use crate::listen::open::BoundListener;
use crate::probe::Probe;
use crate::signals::SignalPolicy;
use std::convert::Infallible;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

/// There is none.
pub struct Uring<H, P = ()>(Infallible, PhantomData<(H, P)>);

impl<H: Handler, P: Probe> Uring<H, P> {
    /// Never makes one.
    ///
    /// # Errors
    /// Always, with a sentence for the user.
    pub fn new(
        _: Vec<BoundListener>,
        _: H,
        _: Arc<Limits>,
        _: SignalPolicy,
        _: P,
    ) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "io_uring exists only in Linux; use --model reactor",
        ))
    }

    /// Is never called.
    ///
    /// # Errors
    /// None.
    pub fn run(self) -> io::Result<H> {
        match self.0 {}
    }
}
