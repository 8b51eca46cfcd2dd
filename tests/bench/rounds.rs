//! Measuring two sides in turn, and the rows of the table.

use std::fs;
use std::time::{Duration, Instant};

/// How much is measured: much, or only as much as shows that everything works.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) full: bool,
}

impl Effort {
    /// `cargo bench` says `--bench`; `cargo test --all-targets` does not.
    pub(crate) fn asked_for() -> Self {
        Self { full: std::env::args().any(|argument| argument == "--bench") }
    }

    pub(crate) fn of(self, full: usize) -> usize {
        if self.full { full } else { full.min(2) }
    }
}

/// What one side took for the calls of one round.
#[derive(Clone, Copy)]
struct Taken {
    wall: Duration,
    /// Of this thread, where the system tells it.
    cpu: Option<Duration>,
}

/// One comparison: ratios per round, that of all the processor time, and the medians of each side
/// per call.
pub(crate) struct Compared {
    wall: Vec<f64>,
    cpu: Option<f64>,
    ours: Duration,
    other: Duration,
}

impl Compared {
    /// Rounds of `calls` calls on each side, the sides taking turns in going first.
    pub(crate) fn measure(
        rounds: usize,
        calls: usize,
        mut ours: impl FnMut(),
        mut other: impl FnMut(),
    ) -> Self {
        let timed = |work: &mut dyn FnMut()| {
            let cpu = cpu_time();
            let started = Instant::now();
            for _ in 0..calls {
                work();
            }
            let wall = started.elapsed();
            Taken {
                wall,
                cpu: cpu.zip(cpu_time()).map(|(before, after)| after.saturating_sub(before)),
            }
        };
        Self::of(rounds, calls, || timed(&mut ours), || timed(&mut other))
    }

    /// The same of sides that tell themselves how long they took.
    pub(crate) fn measure_told(
        rounds: usize,
        calls: usize,
        mut ours: impl FnMut() -> Duration,
        mut other: impl FnMut() -> Duration,
    ) -> Self {
        let wall = |wall| Taken { wall, cpu: None };
        Self::of(rounds, calls, || wall(ours()), || wall(other()))
    }

    fn of(
        rounds: usize,
        calls: usize,
        mut ours: impl FnMut() -> Taken,
        mut other: impl FnMut() -> Taken,
    ) -> Self {
        // Connections, caches and the processor's frequency.
        for _ in 0..rounds.div_ceil(20) {
            other();
            ours();
        }
        let mut taken = Vec::new();
        for round in 0..rounds {
            if round % 2 == 0 {
                let other = other();
                taken.push((ours(), other));
            } else {
                let ours = ours();
                taken.push((ours, other()));
            }
        }
        let ratio = |ours: Duration, other: Duration| ours.as_secs_f64() / other.as_secs_f64();
        let per_call = |side: fn(&(Taken, Taken)) -> Taken| {
            let seconds = taken.iter().map(|pair| side(pair).wall.as_secs_f64());
            let calls = u32::try_from(calls).unwrap();
            Duration::from_secs_f64(quartiles(seconds.collect())[1]) / calls
        };
        let cpu = |side: fn(&(Taken, Taken)) -> Taken| -> Option<Duration> {
            taken.iter().map(|pair| side(pair).cpu).sum::<Option<Duration>>()
        };
        Self {
            ours: per_call(|pair| pair.0),
            other: per_call(|pair| pair.1),
            wall: taken.iter().map(|(ours, other)| ratio(ours.wall, other.wall)).collect(),
            // The system counts it in steps that may be longer than a round.
            cpu: cpu(|pair| pair.0).zip(cpu(|pair| pair.1)).map(|(ours, other)| ratio(ours, other)),
        }
    }

    pub(crate) fn row(self, what: &str, with: &str) -> Row {
        Row {
            what: what.to_owned(),
            with: with.to_owned(),
            quartiles: Some(quartiles(self.wall)),
            cpu: self.cpu.filter(|ratio| ratio.is_finite()),
            ours: format!("{:.2?}", self.ours),
            other: format!("{:.2?}", self.other),
        }
    }

    /// As calls in a time, of which more is better.
    pub(crate) fn rate_row(mut self, what: &str, with: &str) -> Row {
        for ratio in &mut self.wall {
            *ratio = ratio.recip();
        }
        let rate = |per_call: Duration| format!("{:.0}/s", per_call.as_secs_f64().recip());
        let (ours, other) = (rate(self.ours), rate(self.other));
        Row { ours, other, ..self.row(what, with) }
    }
}

/// The time that this thread has run on a processor.
fn cpu_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The lower quartile, the median and the upper quartile.
pub(crate) fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() * quarter / 4).min(values.len() - 1)])
}

/// A line of the table.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) with: String,
    /// Of the ratios of the rounds.
    pub(crate) quartiles: Option<[f64; 3]>,
    pub(crate) cpu: Option<f64>,
    pub(crate) ours: String,
    pub(crate) other: String,
}

impl Row {
    pub(crate) fn print(&self) {
        let [low, median, high] = match self.quartiles {
            Some(quartiles) => quartiles.map(|ratio| format!("{ratio:.3}")),
            None => Default::default(),
        };
        let cpu = self.cpu.map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
        line([&self.what, &self.with, &low, &median, &high, &cpu, &self.ours, &self.other]);
    }
}

pub(crate) fn head() {
    line([
        "what",
        "compared with",
        "quarter",
        "median",
        "3 quart.",
        "cpu",
        "the first",
        "the second",
    ]);
}

fn line([what, with, low, median, high, cpu, ours, other]: [&str; 8]) {
    let text = format!(
        "{what:<42} {with:<34} {low:>8} {median:>8} {high:>8} {cpu:>6} {ours:>12} {other:>12}"
    );
    println!("{}", text.trim_end());
}
