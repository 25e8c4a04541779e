//! Room `bench`: the plots of a report, a file each. Each gives nothing where it has nothing to
//! show.
//!
//! - [`ratios`]: who is how many times better, and how sure is that?
//! - [`percentiles`]: how long do the slowest wait?
//! - [`course`]: what happened, tenth of a second for tenth of a second?
//! - [`processor`]: what is the processor time made of? [`calls`]: which calls does a request take?
//! - [`fairness`]: is everybody served?
//! - [`growth`]: what comes of more connections? [`load`]: of more requests? [`memory`]: of more
//!   who say nothing?
//! - [`order`]: did the machine change while it was measured?
//! - [`frame`]: two axes, and lines with their names

pub mod calls;
pub mod course;
pub mod fairness;
pub mod frame;
pub mod growth;
pub mod load;
pub mod memory;
pub mod order;
pub mod percentiles;
pub mod processor;
pub mod ratios;
