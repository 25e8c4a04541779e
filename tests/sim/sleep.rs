//! May the loop sleep now? Nobody may have anything to do, or wait for anything, that no event and no
//! timer will tell of: a wake-up that is lost is lost for good.

use crate::world::{Said, World};
use oneloop::limits::Limits;
use std::time::Duration;

impl World {
    /// The loop is about to sleep for so long.
    pub fn check_sleep(&mut self, rest: Option<Duration>, limits: &Limits) {
        let mut broken = self.forgotten_lines();
        broken.extend(self.forgotten_at_the_door(rest, limits));
        broken.into_iter().for_each(|what| self.accuse(what));
    }

    fn forgotten_lines(&self) -> Vec<String> {
        let open = self.lines.iter().enumerate();
        let open = open.filter(|(_, line)| line.is_open());
        let forgotten = open.filter_map(|(id, line)| match line.tried {
            Some((call, false)) => Some(format!("line {id}: waits, but {call:?} was not refused")),
            Some((call, true)) if line.is_forgotten() => {
                Some(format!("line {id}: {call:?} is possible, and nobody knows"))
            }
            _ => None,
        });
        forgotten.collect()
    }

    fn forgotten_at_the_door(&self, rest: Option<Duration>, limits: &Limits) -> Option<String> {
        let will_try_again = rest.is_some_and(|rest| rest <= limits.accept_pause);
        if self.lines.iter().any(|line| line.is_held()) {
            let open = self.lines.iter().filter(|line| line.is_open()).count();
            let has_place = open < limits.connections;
            return (has_place || !will_try_again)
                .then(|| "there is a place, and who was accepted for it is not let in".into());
        }
        if !self.is_waited_for_in_silence() {
            return None;
        }
        match self.door_said {
            Some(Said::NoDescriptor) if self.descriptors > 0 => {
                Some("there is a place, and nobody is accepted for it".into())
            }
            Some(Said::NoDescriptor | Said::Error(_)) if will_try_again => None,
            _ => Some("somebody waits at the door, and nobody knows".into()),
        }
    }
}
