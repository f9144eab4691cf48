//! A play in rounds: applications are authorized anew and work at every sidecar, something breaks, each is deleted,
//! what happened is judged, all is mended, and what was deleted stays dead while the rest works.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use super::report::Report;
use super::stage::{Cast, LEASE, Stage};
use crate::support::line::{Kind, Line};
use crate::support::traffic::{Mark, Traffic};
use crate::support::{Application, Person, eventually};

pub(crate) struct Play {
    parts: Vec<Part>,
    /// Never deleted: what it is refused is what the fault costs.
    bystander: Part,
    pub(crate) stage: Stage,
    pub(crate) report: Report,
    left: usize,
    round: usize,
    struck: Instant,
}

/// An application, its administrator, and what both do in this round.
struct Part {
    application: Application,
    admin: Person,
    token: String,
    traffic: Option<Traffic>,
    end: Option<End>,
}

/// A deletion.
struct End {
    asked: Instant,
    mark: Mark,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It was acknowledged.
    Done,
    /// It had been done by an earlier one, whose answer was lost.
    DoneBefore,
    /// It was refused with this status, and nothing is promised.
    Refused(u16),
    /// No answer came.
    Unanswered,
}

impl Play {
    pub(crate) async fn begin(name: &'static str, cast: Cast) -> Self {
        let stage = Stage::set(cast).await;
        let (at_once, revocations) = match std::env::var("CONSENTRY_FAULTS") {
            Ok(many) => (4, many.parse().unwrap()),
            Err(_) => (2, 2),
        };
        let mut parts = Vec::new();
        for number in 0..=at_once {
            parts.push(Part::register(&stage, number).await);
        }
        let mut bystander = parts.pop().unwrap();
        bystander.authorize().await;
        let left = usize::div_ceil(revocations, at_once);
        let report = Report::new(name, cast);
        Self { stage, report, parts, bystander, left, round: 0, struck: Instant::now() }
    }

    /// Begins a round: everything is authorized and works. None is left when enough was seen.
    pub(crate) async fn round(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.round += 1;
        let doors = self.stage.doors();
        self.bystander.work(&format!("r{}-by", self.round), &doors);
        let mut authorizing = JoinSet::new();
        for (number, mut part) in std::mem::take(&mut self.parts).into_iter().enumerate() {
            let (bucket, doors) = (format!("r{}-{number}", self.round), doors.clone());
            authorizing.spawn(async move {
                part.authorize().await;
                part.work(&bucket, &doors);
                part
            });
        }
        self.parts = authorizing.join_all().await;
        for part in self.parts.iter().chain([&self.bystander]) {
            part.working().flows().await;
        }
        self.struck = Instant::now();
        true
    }

    /// Deletes every application; each is marked the moment its acknowledgement comes.
    pub(crate) async fn delete(&mut self) -> Vec<Asked> {
        let (address, token) = self.desk();
        let mut asking = self.ask_all(&address, &token);
        self.take_answers(&mut asking).await
    }

    fn ask_all(&mut self, address: &str, token: &str) -> JoinSet<(Part, (Asked, Value))> {
        let mut asking = JoinSet::new();
        for mut part in std::mem::take(&mut self.parts) {
            let (address, token) = (address.to_owned(), token.to_owned());
            asking.spawn(async move {
                let asked = part.delete(&address, &token).await;
                (part, asked)
            });
        }
        asking
    }

    async fn take_answers(&mut self, asking: &mut JoinSet<(Part, (Asked, Value))>) -> Vec<Asked> {
        let mut told = Vec::new();
        while let Some(answer) = asking.join_next().await {
            let (part, (asked, receipt)) = answer.unwrap();
            if let Some(end) = part.end.as_ref().filter(|_| asked == Asked::Done) {
                self.report.acknowledged(end.mark.at - end.asked, &receipt);
            }
            self.parts.push(part);
            told.push(asked);
        }
        told
    }

    /// Where deletions are asked for, and by which token.
    fn desk(&self) -> (String, String) {
        (self.stage.control_address(), self.stage.world.account("acme").api_token.clone())
    }

    /// Sidecars that were started again are somewhere else.
    pub(crate) fn move_to_new_doors(&self) {
        let doors = self.stage.doors();
        self.parts.iter().chain([&self.bystander]).for_each(|part| part.working().move_to(&doors));
    }

    /// Deletes, and a moment later, another one each round, does this.
    pub(crate) async fn delete_while(&mut self, strike: impl FnOnce(&mut Stage)) -> Vec<Asked> {
        let moment = Duration::from_millis(self.round as u64 * 7 % 40);
        let (address, token) = self.desk();
        let mut asking = self.ask_all(&address, &token);
        tokio::time::sleep(moment).await;
        strike(&mut self.stage);
        self.take_answers(&mut asking).await
    }

    /// Deletes, and expects that each deletion is acknowledged; how long it took is in the report.
    pub(crate) async fn delete_all(&mut self) {
        let asked = self.delete().await;
        assert!(asked.iter().all(|asked| *asked == Asked::Done), "{asked:?}");
    }

    /// Asks again for what was not acknowledged, until it is done. What had been done by a deletion whose answer was
    /// lost is promised to hold everywhere a lease and a second later.
    pub(crate) async fn insist(&mut self) {
        let (address, token) = self.desk();
        let begun = Instant::now();
        for part in self.parts.iter_mut().filter(|part| part.end.is_none()) {
            loop {
                assert!(begun.elapsed() < MENDED, "a deletion is still refused when all is mended");
                let (asked, receipt) = part.delete(&address, &token).await;
                match asked {
                    Asked::Done => {
                        let end = part.end.as_ref().unwrap();
                        self.report.acknowledged(end.mark.at - end.asked, &receipt);
                        break;
                    }
                    Asked::DoneBefore => {
                        let done = Instant::now();
                        let bound = Duration::from_secs(LEASE + 1);
                        eventually("the bound is over", || {
                            std::future::ready((done.elapsed() >= bound).then_some(()))
                        })
                        .await;
                        part.end = Some(End { asked: done, mark: part.working().mark() });
                        break;
                    }
                    Asked::Refused(_) | Asked::Unanswered => tokio::task::yield_now().await,
                }
            }
        }
    }

    /// Waits until each of these sidecars has answered calls of the deleted applications.
    pub(crate) async fn are_refused_at(&self, sidecars: &[usize]) {
        for part in &self.parts {
            part.working().is_answered_at(sidecars).await;
        }
    }

    /// Waits until these sidecars refuse everything, since they may not know.
    pub(crate) async fn refuse_everything(&self, sidecars: &[usize]) {
        self.bystander.working().is_refused_at(sidecars).await;
    }

    /// Waits until these sidecars serve whoever was not deleted.
    pub(crate) async fn serve_others(&self, sidecars: &[usize]) {
        self.bystander.working().flows_at(sidecars).await;
    }

    /// Ends a round: everything is mended, whoever was not deleted is served everywhere again, and what happened since
    /// the deletions is judged. Only these sidecars may have refused what was not deleted.
    pub(crate) async fn judge(&mut self, may_refuse: &[usize]) {
        self.stage.until_ready().await;
        self.bystander.working().flows().await;
        let everywhere: Vec<_> = (0..self.stage.sidecars.len()).collect();
        self.are_refused_at(&everywhere).await;
        for part in &mut self.parts {
            let end = part.end.take().unwrap_or_else(|| panic!("a deletion was never acknowledged"));
            let traffic = part.traffic.take().unwrap();
            let verdict = traffic.judge(&self.stage.witness, self.struck, end.asked, &end.mark);
            self.stage.witness.forget(traffic.bucket());
            self.report.judged(&verdict);
            assert!(verdict.refused > 0, "it was asked after the acknowledgement: {verdict:?}");
            assert!(verdict.wrongly_refused.is_empty(), "while all was well: {verdict:#?}");
        }
        let refused = self.bystander.working().refusals(self.struck);
        self.report.bystander(refused.len());
        let wrongly: Vec<_> = refused.iter().filter(|(sidecar, _)| !may_refuse.contains(sidecar)).collect();
        assert!(wrongly.is_empty(), "what was not deleted was refused: {wrongly:#?}");
        self.bystander.traffic = None;
    }
}

impl Part {
    /// An application of globex, for acme to use.
    async fn register(stage: &Stage, number: usize) -> Self {
        let scopes = ["openid", "/acs/oss:read"];
        let application = stage.world.register("globex", &format!("part-{number}"), &scopes).await;
        let admin = Person::new(&stage.world, "admin@acme");
        Self { application, admin, token: String::new(), traffic: None, end: None }
    }

    async fn authorize(&mut self) {
        let attempt = self.application.ask();
        let page = self.admin.visit(&attempt.url).await;
        let page = self.admin.authorize(&page, &[]).await;
        self.token = self.application.tokens(&attempt, &page).await.access;
    }

    fn work(&mut self, bucket: &str, doors: &[String]) {
        self.traffic = Some(Traffic::start(bucket, doors, &self.token));
    }

    fn working(&self) -> &Traffic {
        self.traffic.as_ref().unwrap()
    }

    async fn delete(&mut self, address: &str, token: &str) -> (Asked, Value) {
        let target = format!("/api/v1/applications/{}", self.application.client_id);
        let asked = Instant::now();
        let asking = async { Line::connect(address).await?.whole(Kind::Deletion, &target, token).await };
        let Ok(Ok((status, body))) = tokio::time::timeout(PATIENCE, asking).await else {
            return (Asked::Unanswered, Value::Null);
        };
        match status {
            200 => {
                self.end = Some(End { asked, mark: self.working().mark() });
                (Asked::Done, serde_json::from_slice(&body).unwrap())
            }
            404 => (Asked::DoneBefore, Value::Null),
            status => (Asked::Refused(status), Value::Null),
        }
    }
}

/// By then whoever lost somebody has found him again.
const MENDED: Duration = Duration::from_secs(30);
/// Longer than any deletion may take.
const PATIENCE: Duration = Duration::from_secs(LEASE + 3);
