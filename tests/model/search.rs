//! Breadth-first search through all states, so that a counter-example is as short as can be.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::rules::{Bounds, Rules};
use super::steps::{Step, successors};
use super::world::World;

/// What was found.
pub(crate) struct Found {
    pub(crate) states: usize,
    /// Every way of so many steps was gone.
    pub(crate) depth: usize,
    /// There are no further states.
    pub(crate) whole: bool,
    pub(crate) violation: Option<Violation>,
}

/// A counter-example.
pub(crate) struct Violation {
    pub(crate) property: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// Searches until a violation is found, all is searched, or `most` states are seen and their depth is done.
pub(crate) fn search(
    rules: &Rules,
    bounds: &Bounds,
    wrong: impl Fn(&World) -> Option<&'static str>,
    most: usize,
) -> Found {
    let start = World::new(bounds);
    let mut seen: HashSet<u64, BuildHasherDefault<Word>> = HashSet::from_iter([fingerprint(&start)]);
    let mut origins = vec![(0_u32, Step::Tick)];
    let mut frontier = vec![(0_u32, start)];
    let (mut next, mut after) = (Vec::new(), Vec::new());
    let mut depth = 0;
    while !frontier.is_empty() && origins.len() < most {
        for (from, world) in &frontier {
            successors(world, rules, bounds, &mut after);
            for (step, world) in &after {
                if !seen.insert(fingerprint(world)) {
                    continue;
                }
                let at = u32::try_from(origins.len()).unwrap();
                origins.push((*from, *step));
                if let Some(property) = wrong(world) {
                    let violation = Some(Violation { property, steps: way(&origins, at) });
                    return Found { states: origins.len(), depth, whole: false, violation };
                }
                next.push((at, *world));
            }
        }
        depth += 1;
        frontier.clear();
        std::mem::swap(&mut frontier, &mut next);
    }
    Found { states: origins.len(), depth, whole: frontier.is_empty(), violation: None }
}

fn way(origins: &[(u32, Step)], mut at: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    while at > 0 {
        let (from, step) = origins[usize::try_from(at).unwrap()];
        steps.push(step);
        at = from;
    }
    steps.reverse();
    steps
}

fn fingerprint(world: &World) -> u64 {
    let mut mix = Mix::default();
    world.hash(&mut mix);
    mix.finish()
}

/// A quick hash of small numbers: eight of them a multiplication.
#[derive(Default)]
struct Mix {
    word: u64,
    held: u32,
    state: u64,
}

impl Mix {
    fn fold(&mut self) {
        self.state = (self.state.rotate_left(23) ^ self.word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.state ^= self.state >> 29;
        (self.word, self.held) = (0, 0);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        if self.held == 8 {
            self.fold();
        }
        self.word = self.word << 8 | u64::from(byte);
        self.held += 1;
    }

    fn write_isize(&mut self, discriminant: isize) {
        self.write_u8(u8::try_from(discriminant).unwrap());
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        let mut last = Mix { word: self.word, held: self.held, state: self.state };
        last.fold();
        last.fold();
        last.state
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct Word(u64);

impl Hasher for Word {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
