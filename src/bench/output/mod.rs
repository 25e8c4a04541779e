//! The output of a run: a table on the terminal, and a report as one HTML file.
//!
//! - [`text`]: the table. [`terminal`]: its width and colours
//! - [`report`]: the report. [`charts`]: its charts. [`svg`]: what they are drawn with
//! - [`format`](mod@format): numbers and lines

pub mod charts;
pub mod format;
pub mod report;
pub mod svg;
pub mod terminal;
pub mod text;
pub mod view;
