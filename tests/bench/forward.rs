//! What forwarding costs: the same load on an upstream itself, through the best bare hyper proxy, and through the
//! sidecar with a warm grant and its decision records on. Rounds alternate strictly (A B C C B A), so that what
//! drifts on the machine drifts for all.
//!
//! ```text
//! cargo bench --bench forward                 # 8 times A B C C B A, 2 s a round: 96 s
//! cargo bench --bench forward -- rounds 20    # more of it
//! cargo bench --bench forward -- varied       # the same, for another object with each request: 500 of them
//! cargo bench --bench forward -- signed       # a signed call against the same call with a bearer token
//! cargo bench --bench forward -- resigned     # the same, the signed call signed again for its cloud
//! cargo bench --bench forward -- idle         # the resident memory of a sidecar that waits
//! cargo bench --bench forward -- hold sidecar # keeps one under load until Enter, for a profiler
//! ```
//! One program in several roles: it starts itself again as upstream, bare proxy and sidecar.

#[path = "forward/bare.rs"]
mod bare;
#[path = "forward/gateway.rs"]
mod gateway;
#[path = "forward/load.rs"]
mod load;
#[path = "forward/role.rs"]
mod role;
#[path = "forward/table.rs"]
mod table;
#[path = "forward/target.rs"]
mod target;

use std::error::Error;
use std::io::{Write, stdin, stdout};
use std::time::Duration;

use load::{Load, Seen};
use role::{Role, Running};
use table::Table;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A benchmark that cannot go on says why and stops.
type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let typed: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    match typed.as_slice() {
        [] => compare(8, Load::new),
        ["rounds", number] => compare(number.parse()?, Load::new),
        ["varied"] => compare(8, Load::varied),
        ["varied", number] => compare(number.parse()?, Load::varied),
        [word @ ("signed" | "resigned")] => signed(word, 8),
        [word @ ("signed" | "resigned"), number] => signed(word, number.parse()?),
        ["idle"] => idle(),
        ["hold", name] => hold(name),
        ["role", name, rest @ ..] => Role::named(name)?.play(rest),
        _ => Err(
            "usage: cargo bench --bench forward -- [rounds N | varied [N] | signed [N] | resigned [N] | idle | hold ROLE]"
                .into(),
        ),
    }
}

/// All three, one after the other and back again.
fn compare(rounds: usize, load: Loading) -> Fallible<()> {
    let apart = role::stay_on(role::LOAD_CORE);
    let stand = Stand::set_up(load)?;
    let mut table = Table::default();
    for forward in (0..2 * rounds).map(|half| half % 2 == 0) {
        let mut order = [&stand.upstream, &stand.bare, &stand.sidecar];
        if !forward {
            order.reverse();
        }
        let seen = order.map(|running| stand.round(running));
        let [mut first, middle, mut last] = seen;
        if !forward {
            std::mem::swap(&mut first, &mut last);
        }
        table.add([first?, middle?, last?]);
    }
    let mut out = stdout().lock();
    if !apart {
        writeln!(out, "The cores could not be parted: figures are noisier than they need be.")?;
    }
    write!(out, "{table}")?;
    Ok(())
}

/// What a signature costs over a bearer token: the same call both ways, A B B A. With `resigned` the signed call's
/// upstream gets a signature too, of a role's credentials; the other's gets an assertion.
fn signed(word: &str, rounds: usize) -> Fallible<()> {
    role::stay_on(role::LOAD_CORE);
    let upstream = Role::Upstream.start(&[])?;
    let to = upstream.address().to_string();
    let (asserting, signing_sidecar) =
        (Role::Sidecar.start(&[&to, "signed"])?, Role::Sidecar.start(&[&to, word])?);
    let (bearer, signing) = (Load::bearer(asserting.remark())?, Load::signed(signing_sidecar.remark())?);
    let (mut plain, mut with) = (Vec::new(), Vec::new());
    for half in 0..2 * rounds {
        let order = if half % 2 == 0 { [true, false] } else { [false, true] };
        for is_plain in order {
            let (load, sidecar) = if is_plain { (&bearer, &asserting) } else { (&signing, &signing_sidecar) };
            let cost = load.run(sidecar, ROUND)?.cost();
            if is_plain { plain.push(cost) } else { with.push(cost) }
        }
    }
    let mut more: Vec<f64> = plain.iter().zip(&with).map(|(plain, with)| with - plain).collect();
    for costs in [&mut plain, &mut with, &mut more] {
        costs.sort_by(f64::total_cmp);
    }
    let middle = |costs: &[f64]| costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN);
    writeln!(
        stdout(),
        "CPU µs/request, medians of {} rounds: bearer {:.2}, {word} {:.2}, more by {:.2} (goal: at most 40)",
        plain.len(),
        middle(&plain),
        middle(&with),
        middle(&more),
    )?;
    Ok(())
}

/// How much a sidecar holds while it waits.
fn idle() -> Fallible<()> {
    let stand = Stand::set_up(Load::new)?;
    let fresh = stand.sidecar.resident_kib()?;
    stand.round_of(&stand.sidecar, Duration::from_secs(1))?;
    let after = stand.sidecar.resident_kib()?;
    let mib = |kib: u64| kib as f64 / 1024.0;
    let mut out = stdout().lock();
    writeln!(
        out,
        "resident, idle: {:.1} MiB fresh, {:.1} MiB after a second of load",
        mib(fresh),
        mib(after)
    )?;
    Ok(())
}

/// Load on one of them until Enter.
fn hold(name: &str) -> Fallible<()> {
    role::stay_on(role::LOAD_CORE);
    let stand = Stand::set_up(Load::new)?;
    let running = match Role::named(name)? {
        Role::Upstream => &stand.upstream,
        Role::Bare => &stand.bare,
        Role::Sidecar => &stand.sidecar,
    };
    writeln!(stdout(), "process {}; Enter ends it", running.id())?;
    let enter = std::thread::spawn(|| stdin().read_line(&mut String::new()));
    let mut all = 0;
    while !enter.is_finished() {
        all += stand.round(running)?.answers();
    }
    writeln!(stdout(), "{all} answers")?;
    Ok(())
}

/// Makes the load for a token.
type Loading = fn(&str) -> Fallible<Load>;

/// What is measured, ready.
struct Stand {
    load: Load,
    upstream: Running,
    bare: Running,
    sidecar: Running,
}

impl Stand {
    fn set_up(load: Loading) -> Fallible<Self> {
        let upstream = Role::Upstream.start(&[])?;
        let to = upstream.address().to_string();
        let bare = Role::Bare.start(&[&to])?;
        let sidecar = Role::Sidecar.start(&[&to])?;
        Ok(Self { load: load(sidecar.remark())?, upstream, bare, sidecar })
    }

    fn round(&self, running: &Running) -> Fallible<Seen> {
        self.round_of(running, ROUND)
    }

    fn round_of(&self, running: &Running, length: Duration) -> Fallible<Seen> {
        self.load.run(running, length)
    }
}

const ROUND: Duration = Duration::from_secs(2);
