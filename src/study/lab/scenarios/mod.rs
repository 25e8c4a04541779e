//! What the clients of each lab do. Nothing here depends on how fast the machine is: a client waits
//! for seconds before it says that nothing comes.

mod closing;
mod deadlines;
mod readiness;
mod requests;
mod sending;

pub use closing::{file_that_shrinks, hasty_stop, lost_response};
pub use deadlines::{early_timer, slow_head};
pub use readiness::{
    end_of_stream, forgotten_connection, full_socket, long_sleep, no_descriptor, one_accept,
    urgent_byte,
};
pub use requests::{head_with_body, partial_head, pipelined_requests};
pub use sending::{part_of_a_file, simulated_kernel};

use std::thread;
use std::time::Duration;

/// Long enough for the server to read what was sent before.
fn pause() {
    thread::sleep(Duration::from_millis(100));
}
