//! The exercises: a fault each, its texts, and what a client does to show it.

use super::scenarios;
use super::stage::Stage;
use std::io;

/// One broken server.
#[derive(Debug)]
pub struct Exercise {
    /// Its directory in `exercises`: `01-half-a-request`. It begins with the number.
    pub name: &'static str,
    /// The fault, as a patch of the sources.
    pub fault: &'static str,
    /// Title, task, hints and explanation, as sections with a heading each.
    text: &'static str,
    /// Plays the clients.
    pub play: fn(&mut Stage<'_>) -> io::Result<()>,
}

macro_rules! exercise {
    ($name:literal, $play:path) => {
        Exercise {
            name: $name,
            fault: include_str!(concat!("exercises/", $name, "/fault.patch")),
            text: include_str!(concat!("exercises/", $name, "/text.md")),
            play: $play,
        }
    };
}

/// All exercises, the easiest first.
pub const ALL: &[Exercise] = &[
    exercise!("01-half-a-request", scenarios::partial_head),
    exercise!("02-head-with-a-body", scenarios::head_with_body),
    exercise!("03-two-requests-at-once", scenarios::pipelined_requests),
    exercise!(
        "04-the-download-that-stops",
        scenarios::forgotten_connection
    ),
    exercise!("05-one-event-one-connection", scenarios::one_accept),
    exercise!("06-the-busy-server", scenarios::full_socket),
    exercise!("07-the-lost-response", scenarios::lost_response),
    exercise!("08-a-byte-a-second", scenarios::slow_head),
    exercise!("09-the-long-sleep", scenarios::long_sleep),
    exercise!("10-the-unread-end-of-stream", scenarios::end_of_stream),
    exercise!("11-no-descriptor-left", scenarios::no_descriptor),
    exercise!("12-the-shrinking-file", scenarios::file_that_shrinks),
    exercise!("13-the-early-timer", scenarios::early_timer),
    exercise!("14-the-hasty-stop", scenarios::hasty_stop),
    exercise!("15-the-part-taken-for-the-whole", scenarios::part_of_a_file),
    exercise!("16-the-urgent-byte", scenarios::urgent_byte),
    exercise!("17-the-part-that-waits", scenarios::simulated_kernel),
];

impl Exercise {
    /// The exercise with this number, counted from 1.
    pub fn numbered(number: usize) -> Option<&'static Self> {
        ALL.get(number.checked_sub(1)?)
    }

    /// What it is called.
    pub fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches("# ")
    }

    /// What is seen, in one line.
    pub fn summary(&self) -> &'static str {
        self.text.lines().nth(2).unwrap_or_default()
    }

    /// The text under a heading such as `Hint 1`; empty without one.
    pub fn section(&self, heading: &str) -> &'static str {
        let mut sections = self.text.split("\n## ").skip(1);
        let found = sections.find_map(|section| section.strip_prefix(heading)?.strip_prefix('\n'));
        found.unwrap_or_default().trim()
    }
}
