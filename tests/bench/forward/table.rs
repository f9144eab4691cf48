//! What all rounds say together: medians, and ratios of neighbours.

use std::fmt;

use super::load::Seen;

/// Each row: upstream, bare, sidecar, one right after the other.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<[Seen; 3]>);

impl Table {
    pub(crate) fn add(&mut self, row: [Seen; 3]) {
        self.0.push(row);
    }

    /// The ratio of sidecar to bare within each row, in order.
    fn ratios(&self, of: impl Fn(&Seen) -> f64) -> Vec<f64> {
        sorted(self.0.iter().map(|[_, bare, sidecar]| of(sidecar) / of(bare)).collect())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>22} {:>12} {:>9} {:>9} {:>14}",
            "", "requests/s", "p50 µs", "p99 µs", "CPU µs/request"
        )?;
        for (at, name) in
            ["upstream directly", "bare hyper proxy", "sidecar, grant warm"].into_iter().enumerate()
        {
            let median = |of: &dyn Fn(&Seen) -> f64| {
                middle(&sorted(self.0.iter().filter_map(|row| row.get(at)).map(of).collect()))
            };
            writeln!(
                f,
                "{name:>22} {:>12.0} {:>9.0} {:>9.0} {:>14.2}",
                median(&Seen::per_second),
                median(&|seen| seen.latency(500)),
                median(&|seen| seen.latency(990)),
                median(&Seen::cost),
            )?;
        }
        writeln!(f, "\nsidecar ÷ bare, of {} pairs of neighbouring rounds:", self.0.len())?;
        for (name, ratios) in [
            ("CPU per request", self.ratios(Seen::cost)),
            ("p99", self.ratios(|seen| seen.latency(990))),
            ("requests/s", self.ratios(Seen::per_second)),
        ] {
            let (least, most) = (ratios.first().unwrap_or(&f64::NAN), ratios.last().unwrap_or(&f64::NAN));
            writeln!(f, "{name:>22} {:.3} (median; {least:.3} to {most:.3})", middle(&ratios))?;
        }
        Ok(())
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match (sorted.get(half.wrapping_sub(1)), sorted.get(half)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => below.midpoint(*above),
        (_, Some(exact)) => *exact,
        (_, None) => f64::NAN,
    }
}
