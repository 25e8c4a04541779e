//! Room `bench`: how does a number become a place on terminal, and which round numbers stand beside
//! it? Whatever the data are, a place is a number between two ends.

/// What is plotted is between these: beyond them is no measurement, and no tick could be counted.
const LEAST: f64 = 1e-9;
const MOST: f64 = 1e15;

/// From values to places along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    /// Equal distances for equal differences; holds all `values` and 0, between two places.
    pub fn linear(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let high = values.into_iter().filter(|value| value.is_finite());
        let high = high.fold(0.0, f64::max).min(MOST);
        Self {
            low: 0.0,
            high: if high > LEAST { high * 1.05 } else { 1.0 },
            from,
            to,
            is_log: false,
        }
    }

    /// Equal distances for equal ratios; holds all `values` that are above 0, and some room beside
    /// them.
    pub fn log(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let positive = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > LEAST)
            .map(|value| value.min(MOST));
        let (low, high) = positive.fold((f64::MAX, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low > high { (1.0, 10.0) } else { (low, high) };
        let room = (high / low).powf(0.06).max(1.15);
        Self {
            low: low / room,
            high: high * room,
            from,
            to,
            is_log: true,
        }
    }

    /// Equal distances for equal ratios, with 1 in the middle: from 1/`reach` to `reach`.
    pub fn around_one(reach: f64, from: f64, to: f64) -> Self {
        let reach = if reach.is_finite() {
            reach.clamp(1.01, MOST)
        } else {
            10.0
        };
        Self {
            low: 1.0 / reach,
            high: reach,
            from,
            to,
            is_log: true,
        }
    }

    /// Where a value is. What is outside, or no number, is at the nearer end.
    pub fn place(&self, value: f64) -> f64 {
        let value = value.clamp(-MOST, MOST);
        let part = match self.is_log {
            true => (value.max(1e-12) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        let part = if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.from + part * (self.to - self.from)
    }

    /// Which value is at a place.
    pub fn value(&self, place: f64) -> f64 {
        let part = (place - self.from) / (self.to - self.from);
        match self.is_log {
            true => self.low * (self.high / self.low).powf(part),
            false => self.low + part * (self.high - self.low),
        }
    }

    /// Whether a value is between the ends.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Round values for about `count` ticks, all inside.
    pub fn ticks(&self, count: u32) -> Vec<f64> {
        match self.is_log {
            true => self.log_ticks(count),
            false => self.linear_ticks(count),
        }
    }

    fn linear_ticks(&self, count: u32) -> Vec<f64> {
        let rough = (self.high - self.low) / f64::from(count.max(1));
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|digit| digit * power);
        let step = step
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let ticks = (0..=count * 2).map(|number| f64::from(number) * step);
        ticks.take_while(|tick| *tick <= self.high).collect()
    }

    fn log_ticks(&self, count: u32) -> Vec<f64> {
        let inside = |digits: &[f64]| -> Vec<f64> {
            let powers = self.low.log10().floor()..=self.high.log10().ceil();
            let mut ticks = Vec::new();
            let mut power = *powers.start();
            while power <= *powers.end() {
                ticks.extend(digits.iter().map(|digit| digit * 10_f64.powf(power)));
                power += 1.0;
            }
            ticks.retain(|tick| self.holds(*tick));
            ticks
        };
        let enough = |ticks: &Vec<f64>| ticks.len() >= 3;
        let few = [
            inside(&[1.0]),
            inside(&[1.0, 3.0]),
            inside(&[1.0, 2.0, 5.0]),
            inside(&[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
        ];
        let most = few.iter().map(Vec::len).max().unwrap_or(0);
        let ticks = few
            .into_iter()
            .find(|ticks| enough(ticks) || ticks.len() == most);
        let ticks = ticks.unwrap_or_default();
        let every = ticks.len().div_ceil(count.max(1) as usize).max(1);
        ticks.into_iter().step_by(every).collect()
    }
}

/// Moves labels apart that would stand on each other: at least `gap` between two, in their order,
/// none above `least`, and then, if there is room for all, none below `most`.
pub fn apart(places: &mut [f64], gap: f64, (least, most): (f64, f64)) {
    let mut order: Vec<usize> = (0..places.len()).collect();
    let at = |places: &[f64], index: &usize| places.get(*index).copied().unwrap_or(0.0);
    order.sort_by(|a, b| at(places, a).total_cmp(&at(places, b)));
    // Labels that touch are a cluster that stands around its middle; clusters that then touch are
    // one.
    let mut clusters: Vec<(f64, usize)> = Vec::new();
    for index in &order {
        clusters.push((at(places, index), 1));
        while let [.., (before, many), (last, few)] = clusters.as_slice() {
            let (many, few) = (*many, *few);
            if last - before >= gap * count(many + few) / 2.0 {
                break;
            }
            let middle = (before * count(many) + last * count(few)) / count(many + few);
            clusters.truncate(clusters.len() - 2);
            clusters.push((middle, many + few));
        }
    }
    let mut order = order.into_iter();
    let mut ordered = Vec::new();
    for (middle, many) in clusters {
        let mut next = middle - gap * count(many - 1) / 2.0;
        for index in order.by_ref().take(many) {
            if let Some(place) = places.get_mut(index) {
                *place = next;
            }
            ordered.push(index);
            next += gap;
        }
    }
    let mut most = most;
    for index in ordered.iter().rev() {
        if let Some(place) = places.get_mut(*index) {
            *place = place.min(most);
            most = *place - gap;
        }
    }
    let mut least = least;
    for index in ordered {
        if let Some(place) = places.get_mut(index) {
            *place = place.max(least);
            least = *place + gap;
        }
    }
}

/// A small number as one to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "rows and columns, far below 2^52"
)]
pub fn count(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        let linear = Scale::linear([84_000.0], 0.0, 300.0);
        assert_eq!(linear.ticks(4), [0.0, 25_000.0, 50_000.0, 75_000.0]);
        assert_eq!(
            Scale::linear([9.0], 0.0, 1.0).ticks(4),
            [0.0, 2.5, 5.0, 7.5]
        );
        let decades = Scale::log([3.0, 40_000.0], 0.0, 1.0).ticks(5);
        assert_eq!(decades, [10.0, 100.0, 1000.0, 10_000.0]);
        let narrow = Scale::log([1.2, 4.5], 0.0, 1.0).ticks(9);
        assert_eq!(narrow, [1.5, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(Scale::around_one(2.0, 0.0, 1.0).ticks(5), [0.5, 1.0, 2.0]);
    }

    #[test]
    fn one_is_in_the_middle_and_a_mirrored_axis_runs_the_other_way() {
        let scale = Scale::around_one(4.0, 100.0, 300.0);
        assert_eq!(
            [0.25, 1.0, 4.0].map(|one| scale.place(one).round()),
            [100.0, 200.0, 300.0]
        );
        let mirrored = Scale::around_one(4.0, 300.0, 100.0);
        assert_eq!(
            [0.25, 4.0].map(|one| mirrored.place(one).round()),
            [300.0, 100.0]
        );
    }

    #[test]
    fn labels_that_meet_are_moved_apart_around_their_middle_and_stay_on_the_paper() {
        let mut places = [50.0, 10.0, 51.0, 52.0];
        apart(&mut places, 10.0, (0.0, 80.0));
        assert_eq!(places, [41.0, 10.0, 51.0, 61.0]);
        apart(&mut places, 10.0, (0.0, 55.0));
        assert_eq!(places, [35.0, 10.0, 45.0, 55.0]);
        let mut places = [2.0, 1.0, 70.0];
        apart(&mut places, 10.0, (8.0, 80.0));
        assert_eq!(places, [18.0, 8.0, 70.0]);
    }

    proptest! {
        #[test]
        fn a_scale_keeps_the_order_and_stays_between_its_ends(
            values in proptest::collection::vec(proptest::num::f64::ANY, 0..8),
            is_log: bool,
        ) {
            let scale = match is_log {
                true => Scale::log(values.clone(), 10.0, 200.0),
                false => Scale::linear(values.clone(), 10.0, 200.0),
            };
            for value in values.iter().chain(&scale.ticks(5)) {
                let place = scale.place(*value);
                prop_assert!((10.0..=200.0).contains(&place), "{value} {place}");
            }
            let mut sorted: Vec<f64> = values.into_iter().filter(|one| !one.is_nan()).collect();
            sorted.sort_by(f64::total_cmp);
            for pair in sorted.windows(2) {
                prop_assert!(scale.place(pair[0]) <= scale.place(pair[1]));
            }
            let ticks = scale.ticks(5);
            prop_assert!(ticks.len() <= 12, "{ticks:?}");
            prop_assert!(ticks.iter().all(|tick| scale.holds(*tick)), "{ticks:?}");
            prop_assert!(ticks.is_sorted(), "{ticks:?}");
        }

        #[test]
        fn the_way_to_the_paper_leads_back(
            values in proptest::collection::vec(1e-6..1e12_f64, 1..8),
            part in 0.0..1.0_f64,
            kind in 0..3,
        ) {
            let scale = match kind {
                0 => Scale::log(values, 170.0, 10.0),
                1 => Scale::linear(values, 10.0, 170.0),
                _ => Scale::around_one(values[0], 10.0, 170.0),
            };
            let place = 10.0 + 160.0 * part;
            let back = scale.place(scale.value(place));
            prop_assert!((back - place).abs() < 1e-6, "{place} {back}");
        }

        #[test]
        fn labels_keep_their_order_and_their_distance(
            mut places in proptest::collection::vec(0.0..150.0_f64, 0..9),
        ) {
            places.sort_by(f64::total_cmp);
            let before = places.clone();
            apart(&mut places, 12.0, (8.0, 158.0));
            for pair in places.windows(2) {
                prop_assert!(pair[1] - pair[0] > 12.0 - 1e-6, "{before:?} {places:?}");
            }
            prop_assert!(places.iter().all(|one| (8.0..=158.0).contains(one)), "{places:?}");
        }
    }
}
