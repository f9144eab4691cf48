//! What a decision costs: remembered, new, with a context to build, after compiling the grant.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot begin has nothing better to do than to stop"
)]

use std::cell::Cell;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use consentry::model::account::{Principal, PrincipalKey, PrincipalKind};
use consentry::model::application::{Application, ApplicationType};
use consentry::model::call::{Action, Call, Resource};
use consentry::model::grant::{AssignmentMode, Grant, GrantState, Installed};
use consentry::model::id::{GrantKey, Revision};
use consentry::model::member::Member;
use consentry::model::scope::ScopeSet;
use consentry::policy::{Policies, Surroundings, decide};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jiff::Timestamp;

fn decisions(criterion: &mut Criterion) {
    let policies = Arc::new(Policies::embedded().unwrap());
    let installed = Arc::new(installed());
    let compiled = policies.compile(&installed);
    let token = installed.grant.scopes.clone();
    let session = Arc::new(compiled.session(&member(), &token));
    let around = around();

    let again = call("books/2026.csv");
    let _ = decide(&session, &again, &around);
    criterion.bench_function("repeated decision", |bencher| {
        bencher.iter(|| decide(&session, black_box(&again), &around).unwrap());
    });

    let number = Cell::new(0_u64);
    let another = || {
        number.set(number.get() + 1);
        call(&format!("books/{}.csv", number.get()))
    };
    criterion.bench_function("first decision", |bencher| {
        bencher.iter_batched(
            another,
            |call| {
                drop(black_box(decide(&session, &call, &around).unwrap()));
            },
            BatchSize::SmallInput,
        );
    });
    let beyond = Call { action: Action::new("ecs:StartInstance"), ..call("i-1") };
    criterion.bench_function("first denial for want of a scope", |bencher| {
        bencher.iter_batched(
            || compiled.session(&member(), &token),
            |session| decide(&Arc::new(session), &beyond, &around).unwrap_err(),
            BatchSize::SmallInput,
        );
    });
    criterion
        .bench_function("session", |bencher| bencher.iter(|| compiled.session(&member(), black_box(&token))));
    criterion.bench_function("compile", |bencher| bencher.iter(|| policies.compile(black_box(&installed))));
    criterion
        .bench_function("load a policy folder", |bencher| bencher.iter(|| Policies::embedded().unwrap()));
}

fn call(name: &str) -> Call {
    let account = "1000000000000001".parse().unwrap();
    let resource = Resource { account, region: None, name: name.into() };
    Call { action: Action::new("oss:PutObject"), resource }
}

fn around() -> Surroundings<'static> {
    Surroundings {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        time: Timestamp::UNIX_EPOCH,
        method: "PUT",
        host: "127.0.0.1:8080",
        path: "/oss/books/2026.csv",
    }
}

fn member() -> Member {
    let key = PrincipalKey {
        account: "1000000000000001".parse().unwrap(),
        kind: PrincipalKind::User,
        id: "2000000000000011".parse().unwrap(),
    };
    let principal = Principal {
        key,
        login: "alice@acme".to_owned(),
        display_name: "Alice".to_owned(),
        enabled: true,
        full_access: false,
        groups: vec!["finance".parse().unwrap()],
    };
    Member { principal, assigned: true, consented: None, ended: Vec::new() }
}

fn installed() -> Installed {
    let scopes = |text: &str| text.parse::<ScopeSet>().unwrap();
    let application = Application {
        id: "4611686018427387904".parse().unwrap(),
        name: "report-hub".to_owned(),
        display_name: "Report Hub".to_owned(),
        description: String::new(),
        publisher: "9000000000000009".parse().unwrap(),
        publisher_name: String::new(),
        contact: String::new(),
        official: false,
        kind: ApplicationType::WebApp,
        redirect_uris: Vec::new(),
        required: scopes("openid profile /acs/oss"),
        optional: scopes("/acs/ecs"),
        access_token_seconds: 3600,
        refresh_token_seconds: 7200,
        enabled: true,
        created_at: Timestamp::UNIX_EPOCH,
    };
    let grant = Grant {
        key: GrantKey { account: "1000000000000001".parse().unwrap(), application: application.id.clone() },
        revision: Revision(3),
        since: Revision(1),
        state: GrantState::Active,
        scopes: application.required.clone(),
        declined: ScopeSet::new(),
        authorized_at: Timestamp::UNIX_EPOCH,
        authorized_by: member().principal.key,
        authorized_by_login: "admin@acme".to_owned(),
        assignment: AssignmentMode::All,
        expires_at: None,
    };
    Installed { grant, application }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
