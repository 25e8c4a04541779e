//! Room `bench`: the plots of a report, a file each. Each gives nothing where it has nothing to
//! show.
//!
//! - [`ratios`]: who is how many times better, and how sure is that?
//! - [`percentiles`]: how long do the slowest wait?
//! - [`order`]: did the machine change while it was measured?
//! - [`frame`]: two axes, and lines with their names

pub mod frame;
pub mod order;
pub mod percentiles;
pub mod ratios;
