//! Room `bench`: what does one more connection cost? The slope of a straight line through points.

use super::{count, mean, student};

/// A straight line through points, by least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Where it begins, at x = 0.
    pub start: f64,
    /// How much y grows for each x.
    pub slope: f64,
    /// The lower end of the slope's 95 % interval (Student's distribution, two degrees of freedom
    /// less than points). With two points minus infinity: any line goes through two points.
    pub low: f64,
    /// The upper end; with two points infinite.
    pub high: f64,
}

/// The line through `points` (x, y). What is not finite is left out; `None` if all x are the same.
pub fn through(points: &[(f64, f64)]) -> Option<Line> {
    let finite = points.iter().copied();
    let finite = finite.filter(|(x, y)| x.is_finite() && y.is_finite());
    let (xs, ys): (Vec<f64>, Vec<f64>) = finite.unzip();
    let (x_mean, y_mean) = (mean(&xs)?, mean(&ys)?);
    let both = || xs.iter().zip(&ys);
    let spread: f64 = xs.iter().map(|x| (x - x_mean).powi(2)).sum();
    let product: f64 = both().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let slope = product / spread;
    let start = y_mean - slope * x_mean;
    if !slope.is_finite() || !start.is_finite() {
        return None;
    }
    let off: f64 = both().map(|(x, y)| (y - start - slope * x).powi(2)).sum();
    let freedom = count(&xs) - 2.0;
    let freedoms = u32::try_from(xs.len().saturating_sub(2)).unwrap_or(u32::MAX);
    let reach = if freedoms == 0 {
        f64::INFINITY
    } else {
        student::within(freedoms) * (off / freedom / spread).sqrt()
    };
    Some(Line {
        start,
        slope,
        low: slope - reach,
        high: slope + reach,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_give_the_line() {
        let found = through(&[(0.0, 100.0), (500.0, 350.0), (1000.0, 600.0)]).unwrap();
        assert!((found.slope - 0.5).abs() < 1e-12 && (found.start - 100.0).abs() < 1e-9);
        assert!(found.high - found.low < 1e-9, "{found:?}");
    }

    /// By hand: slope 1.4, residuals -0.1 0.2 ... of the points (1, 1) (2, 3) (3, 4) (4, 5.5).
    #[test]
    fn the_interval_is_that_of_the_textbook() {
        let found = through(&[(1.0, 1.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.5)]).unwrap();
        assert!((found.slope - 1.45).abs() < 1e-12, "{found:?}");
        let off = [-0.2_f64, 0.35, -0.1, -0.05];
        let square: f64 = off.iter().map(|one| one * one).sum();
        let reach = 4.302_65 * (square / 2.0 / 5.0).sqrt();
        assert!((found.high - found.slope - reach).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn two_points_say_nothing_of_how_sure_they_are() {
        let found = through(&[(0.0, 1.0), (1.0, 3.0)]).unwrap();
        assert_eq!(
            (found.slope, found.low, found.high),
            (2.0, f64::NEG_INFINITY, f64::INFINITY)
        );
    }

    #[test]
    fn without_two_different_x_there_is_no_line() {
        assert_eq!(through(&[]), None);
        assert_eq!(through(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(through(&[(1.0, f64::NAN), (2.0, 2.0)]), None);
    }
}
