//! Figures as pictures: where the bars of a chart stand. Templates draw them as SVG, each beside a table that says the
//! same in words.

use super::figures::{Count, Day};

/// Columns side by side, each of parts that stand on each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// The parts of all columns.
    pub bars: Vec<Bar>,
    /// Lines across, with what they stand for.
    pub levels: Vec<Level>,
    /// What stands below some of the columns.
    pub marks: Vec<Mark>,
}

/// A rectangle.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its class, which colours it.
    pub class: &'static str,
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// How wide.
    pub width: f64,
    /// How high.
    pub height: f64,
}

/// A line across.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// From the top.
    pub y: f64,
    /// How many it stands for.
    pub calls: u64,
}

/// A text below a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// The column's middle.
    pub x: f64,
    /// What it says.
    pub text: String,
}

/// A bar from the left to the right, for one of several counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// From the top.
    pub y: f64,
    /// Where its text stands.
    pub base: f64,
    /// How long.
    pub width: f64,
    /// Of what.
    pub name: String,
    /// How many.
    pub calls: u64,
}

/// Calls a day.
#[must_use]
pub fn of_days(days: &[Day]) -> Columns {
    let parts = |day: &Day| {
        vec![
            ("forwarded", day.forwarded),
            ("denied", day.denied),
            ("refused", day.refused),
            ("failed", day.failed),
        ]
    };
    let columns: Vec<_> = days.iter().map(parts).collect();
    let names: Vec<_> = days.iter().map(|day| day.date.clone()).collect();
    drawn(&columns, &names, 5)
}

/// Calls by class of time.
#[must_use]
pub fn of_classes(classes: &[Count]) -> Columns {
    let columns: Vec<_> = classes.iter().map(|class| vec![("forwarded", class.calls)]).collect();
    let names: Vec<_> = classes.iter().map(|class| duration(&class.name)).collect();
    drawn(&columns, &names, 8)
}

/// Counts, one below the other.
#[must_use]
pub fn of_counts(counts: &[Count]) -> Vec<Stretch> {
    let most = counts.iter().map(|count| count.calls).max().unwrap_or(0).max(1);
    let stretch = |(index, count): (usize, &Count)| {
        let y = index as f64 * LINE;
        let width = share(count.calls, most) * (WIDTH - NAMES - NUMBERS);
        Stretch { y, base: y + 15.0, width: width.max(1.0), name: count.name.clone(), calls: count.calls }
    };
    counts.iter().enumerate().map(stretch).collect()
}

/// How high the picture of so many counts is.
#[must_use]
pub fn height_of(counts: usize) -> f64 {
    counts as f64 * LINE
}

/// A class's bound for people: `2.5 ms`.
#[must_use]
pub fn duration(bound: &str) -> String {
    match bound.parse::<u32>() {
        Ok(us) if us < 1_000 => format!("{us} µs"),
        Ok(us) if us < 1_000_000 => format!("{} ms", f64::from(us) / 1_000.0),
        Ok(us) => format!("{} s", f64::from(us) / 1_000_000.0),
        Err(_) => "more".to_owned(),
    }
}

fn drawn(columns: &[Vec<(&'static str, u64)>], names: &[String], marks: usize) -> Columns {
    let sum = |parts: &Vec<(&str, u64)>| parts.iter().map(|part| part.1).fold(0, u64::saturating_add);
    let top = round_up(columns.iter().map(sum).max().unwrap_or(0));
    let step = (WIDTH - LEFT) / (columns.len().max(1) as f64);
    let mut bars = Vec::new();
    for (index, parts) in columns.iter().enumerate() {
        let mut y = HEIGHT - BELOW;
        for (class, calls) in parts.iter().filter(|part| part.1 > 0) {
            let height = share(*calls, top) * PLOT;
            y -= height;
            let x = LEFT + index as f64 * step + step * 0.1;
            bars.push(Bar { class, x, y, width: step * 0.8, height });
        }
    }
    let level = |part: u64| Level {
        y: HEIGHT - BELOW - share(part, 2) * PLOT,
        calls: if part == 2 { top } else { top / 2 * part },
    };
    let every = names.len().div_ceil(marks.max(1)).max(1);
    let mark =
        |(index, name): (usize, &String)| Mark { x: LEFT + (index as f64 + 0.5) * step, text: name.clone() };
    let marks = names.iter().enumerate().filter(|(index, _)| index.is_multiple_of(every)).map(mark).collect();
    Columns { bars, levels: (0..=2).map(level).collect(), marks }
}

/// The next even number of one or two leading digits, so that half of it is a whole number.
fn round_up(most: u64) -> u64 {
    let mut unit = 2_u64;
    while most > unit.saturating_mul(10) && unit < u64::MAX / 100 {
        unit = unit.saturating_mul(10);
    }
    most.max(1).div_ceil(unit).saturating_mul(unit)
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

/// The measures of all pictures; the templates' `viewBox` says the same.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// Left of columns and below them is room for words.
const LEFT: f64 = 56.0;
const BELOW: f64 = 24.0;
/// Above the highest column is room for half a letter.
const PLOT: f64 = HEIGHT - BELOW - 8.0;
/// Of counts one below the other: the height of each, and the room for names and numbers.
const LINE: f64 = 24.0;
const NAMES: f64 = 220.0;
const NUMBERS: f64 = 80.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_on_the_ground_and_reach_no_higher_than_the_top() {
        let day = |forwarded, denied| Day { date: "d".to_owned(), forwarded, denied, ..Day::default() };
        let drawn = of_days(&[day(30, 10), day(0, 0), day(7, 0)]);
        assert_eq!(drawn.bars.len(), 3, "nothing is drawn of nothing");
        for bar in &drawn.bars {
            assert!(bar.y >= 8.0 && bar.y + bar.height <= HEIGHT - BELOW + 0.001, "{bar:?}");
            assert!(bar.x >= LEFT && bar.x + bar.width <= WIDTH, "{bar:?}");
        }
        assert_eq!(drawn.levels.iter().map(|level| level.calls).collect::<Vec<_>>(), [0, 20, 40]);
    }

    #[test]
    fn a_chart_of_nothing_or_of_very_much_has_finite_measures() {
        for days in [vec![], vec![Day::default()], vec![Day { forwarded: u64::MAX, ..Day::default() }; 3]] {
            let drawn = of_days(&days);
            assert!(drawn.bars.iter().all(|bar| bar.height.is_finite() && bar.y.is_finite()));
        }
        assert_eq!((round_up(0), round_up(40), round_up(41), round_up(101)), (2, 40, 60, 120));
    }

    #[test]
    fn a_bound_is_said_in_the_unit_that_is_read() {
        assert_eq!(["50", "2500", "1000000", "more"].map(duration), ["50 µs", "2.5 ms", "1 s", "more"]);
    }
}
