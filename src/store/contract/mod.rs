//! What every store must do, as sentences; each runs over each backend.
//!
//! To add a sentence: write the function in the file of its subject and name it below. To add a backend: open it in
//! [`World`], and add a line to `every_backend`.

mod directory;
mod grants;
pub(in crate::store) mod people;
mod postgres;
mod records;
mod requests;
mod sidecars;
mod sqlite;
mod throughput;
mod tokens;
mod world;
// Beside what they hold to the rules.
#[path = "../listing/contract.rs"]
mod listing;
#[path = "../usage/contract.rs"]
mod usage;

use std::sync::Arc;

use jiff::Timestamp;

use super::factors::contract as factors;
use super::federation::contract as federation;
use super::registration::contract as registration;
use super::{Actor, Code, Install, Lasting, Records, Refresh, Shared, StoreError, Subject, open};
use crate::model::account::{Account, PrincipalKind};
use crate::model::application::Application;
use crate::model::decision::Decision;
use crate::model::grant::Grant;
use crate::model::id::{AccountId, ApplicationId, GrantKey, Revision, Seq};
use crate::model::scope::ScopeSet;
pub(in crate::store) use world::{
    ACME, GLOBEX, Home, World, account, actor, admin, application, at, code, key, person, scopes, user, whom,
    wish,
};

#[path = "../../../tests/support/postgres.rs"]
pub(crate) mod fixture;

macro_rules! every_backend {
    ($($subject:ident { $($sentence:ident),* $(,)? })*) => {
        every_backend! { @over over_sqlite sqlite $($subject { $($sentence)* })* }
        every_backend! { @over over_postgres postgres $($subject { $($sentence)* })* }
    };
    (@over $module:ident $backend:ident $($subject:ident { $($sentence:ident)* })*) => {
        mod $module {
            $(mod $subject {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $sentence() {
                    crate::store::contract::$subject::$sentence(&super::super::World::$backend().await).await;
                })*
            })*
        }
    };
}

every_backend! {
    directory {
        an_account_and_its_principals_are_found_again,
        an_account_or_login_that_is_taken_is_refused,
        a_login_is_found_in_any_letter_case,
        only_enabled_administrators_are_listed_the_root_first,
        a_session_is_answered_for_an_enabled_principal,
        a_session_is_not_answered_after_its_end_or_its_principals,
        a_pending_consent_is_taken_once_and_by_its_own_session,
        an_api_token_speaks_for_its_principal_until_it_ends,
        an_application_keeps_what_was_registered_and_changed,
        an_application_holds_two_secrets_and_no_third,
        a_signing_key_is_published_until_it_is_withdrawn,
        a_new_signing_key_retires_its_predecessor_only,
        a_sidecars_key_is_prolonged_by_itself_and_by_nobody_else,
        a_sidecar_has_only_so_many_live_keys_and_another_has_its_own,
    }
    federation {
        somebody_who_arrives_is_made_once_and_found_again_by_their_subject,
        who_has_the_name_of_somebody_else_is_not_let_in,
        claims_change_groups_and_rights_and_sidecars_are_told,
        who_is_no_member_is_disabled_and_comes_back_as_a_member,
        whom_an_administrator_has_disabled_stays_out,
        who_becomes_an_administrator_by_a_claim_signs_in_anew,
        a_role_is_taken_back_from_who_came_in_as_it_and_from_nobody_else,
        a_link_is_made_once_by_an_administrator_and_taken_away_with_its_sessions,
        a_link_of_an_administrator_is_for_an_administrator_to_make_and_to_take_away,
        sessions_are_listed_by_pages_and_ended_by_whose_they_are,
        a_provider_takes_back_its_own_sessions_only,
    }
    people {
        people_are_found_in_pages_by_what_is_looked_for,
        a_change_of_somebody_is_in_the_log_and_the_audit_where_it_concerns_calls,
        out_of_a_group_or_without_it_what_was_assigned_to_it_is_not,
        nobody_rises_above_themselves,
        the_last_user_who_administers_is_taken_by_the_root_identity_only,
        a_link_sets_a_password_once_and_ends_sessions,
        a_password_is_changed_from_the_one_that_stands,
        a_link_lasts_while_who_made_it_may_make_one,
        an_account_is_founded_with_its_root_identity,
        a_group_is_there_without_members_and_made_by_the_first,
        a_token_is_listed_by_its_mark_and_ends_when_it_is_revoked,
    }
    factors {
        a_passkey_is_one_persons_and_is_used_only_while_it_is_there,
        a_step_and_a_recovery_code_are_taken_by_one_of_many,
        who_lost_their_factors_is_reset_and_logged_out,
        a_second_factor_is_demanded_of_administrators_from_then_on,
        who_comes_in_does_so_by_what_still_stands,
        a_factor_that_is_demanded_meanwhile_is_asked_for,
        codes_are_looked_at_until_too_many_were_wrong,
    }
    grants {
        an_administrator_installs_with_the_required_scopes,
        who_is_no_administrator_installs_nothing,
        a_right_lost_between_page_and_commit_installs_nothing,
        a_first_party_application_needs_no_administrator_but_a_principal,
        nobody_but_an_administrator_gives_back_what_an_administrator_took,
        what_was_declined_stays_so_while_it_is_not_offered,
        what_has_come_to_its_end_begins_anew_only_for_who_says_for_how_long,
        a_scope_that_is_not_offered_installs_nothing,
        a_disabled_application_is_not_installed,
        of_many_installations_that_saw_the_same_one_wins,
        replacing_keeps_since_and_a_suspension,
        a_revision_rises_across_revocation_and_what_was_issued_stays_dead,
        a_revoked_grant_is_answered_as_a_tombstone_and_not_listed,
        suspending_can_be_undone_and_twice_is_once,
        an_assignment_reaches_users_groups_and_roles_and_nobody_else,
        an_unknown_user_is_not_assigned,
        a_personal_consent_stands_until_it_is_withdrawn,
        revoking_takes_assignments_consents_and_tokens_along,
        every_change_of_a_grant_is_in_the_log_and_the_audit,
        a_refused_change_leaves_no_trace,
        taking_rights_and_disabling_are_in_the_log,
        a_follower_is_woken_after_the_commit,
        a_member_of_another_account_is_not_assigned,
    }
    listing {
        the_pages_of_a_list_hold_each_application_once_in_every_order,
        a_list_is_searched_to_the_letter_and_by_state,
        official_applications_are_listed_with_what_they_are_to_the_account,
        single_assignments_come_and_go_and_twice_is_once,
        nobody_of_another_account_is_assigned_alone,
        nothing_is_installed_beyond_what_was_allowed,
        personal_consents_are_listed_by_login,
    }
    tokens {
        a_code_is_redeemed_once_by_one_of_many,
        a_code_used_again_ends_its_family_and_sidecars_are_told,
        a_code_dies_with_its_time_grant_principal_and_application,
        a_refresh_token_is_rotated_by_one_of_many,
        a_spent_refresh_token_ends_its_family,
        a_refresh_token_of_another_application_is_unknown_and_stays,
        a_refresh_token_survives_a_suspension_and_not_a_revocation,
        an_ended_family_is_told_as_long_as_its_tokens_could_live,
        withdrawing_a_consent_ends_that_persons_families_only,
        a_family_without_a_code_or_ended_takes_no_refresh_token,
        old_tokens_are_forgotten_and_living_ones_are_not,
    }
    records {
        decisions_are_answered_newest_first_and_filtered,
        a_decision_is_kept_once_and_shown_to_its_account_only,
        a_grant_was_last_used_by_what_was_forwarded,
        audit_events_are_answered_newest_first,
        a_second_handle_sees_what_was_committed,
        a_change_that_was_cut_short_is_there_whole_or_not_at_all,
        the_log_has_no_gap_whoever_writes_it,
        a_refused_change_takes_none_along_that_is_committed_with_it,
        a_copy_holds_all_and_is_of_another_epoch,
        an_application_is_replaced_by_who_has_read_it,
    }
    registration {
        one_that_registers_itself_is_found_and_no_more_than_there_is_room_for,
        a_description_that_says_something_else_changes_its_application,
        each_kind_has_its_room_and_what_is_decided_about_takes_none,
        what_was_asked_for_in_vain_is_forgotten_with_its_requests,
        a_description_that_is_read_again_and_again_is_no_newer_by_that,
        what_nobody_authorized_is_forgotten_and_what_somebody_did_stays,
    }
    requests {
        a_policy_is_replaced_by_who_has_read_it_and_keeps_whose_its_rules_are,
        a_block_suspends_what_is_installed_and_lets_nothing_in_again,
        a_pre_approval_installs_at_the_first_access_in_the_name_of_who_approved,
        a_pre_approval_of_who_lost_the_right_installs_nothing,
        a_pre_approval_covers_what_was_named_and_nothing_that_came_later,
        a_deletion_ends_a_pre_approval_and_one_made_after_it_counts,
        only_who_may_authorize_approves_beforehand_and_only_what_is_offered,
        a_change_of_scope_adds_and_takes_what_is_named_and_nothing_else,
        requests_for_one_application_are_one_with_everybodys_reason,
        a_request_expires_and_the_next_one_is_another_round,
        a_denial_is_told_and_counts_for_the_round_that_was_read,
        an_installation_by_any_way_or_a_block_settles_a_request,
        who_cannot_ask_leaves_no_trace,
        one_person_asks_for_ten_applications_a_day_and_no_more,
        who_asks_in_vain_does_not_do_so_for_ever,
    }
    sidecars {
        an_invitation_enrols_its_name_once,
        an_invitation_that_is_old_replaced_or_anothers_enrols_nobody,
        a_revoked_sidecar_loses_its_keys_and_comes_back_by_invitation_only,
        a_new_key_takes_the_place_of_the_one_before,
        who_is_presumed_again_is_told_apart_and_is_presumed_until_it_leaves,
        two_processes_of_a_sidecar_hold_leases_of_their_own,
        a_revoked_sidecar_is_presumed_to_its_end_and_gets_no_new_lease,
        the_epoch_is_the_stores_own_and_stays,
        other_policies_are_in_the_log_and_the_same_are_not,
    }
    usage {
        a_scope_was_last_used_by_what_was_forwarded_with_it,
        no_use_is_dated_later_than_it_was_told,
        what_there_is_not_is_not_counted,
        invented_reasons_count_as_one,
        a_batch_that_comes_again_counts_once,
        old_figures_are_forgotten_and_last_uses_are_not,
        an_end_is_a_revision_that_sidecars_are_told_of,
        a_past_or_outdated_end_is_not_set,
        after_its_end_a_grant_begins_anew,
        nobody_puts_off_an_end_but_an_administrator,
        narrowing_takes_optional_scopes_and_adds_none,
        an_application_acts_as_somebody_until_that_is_taken_back,
        a_publisher_learns_which_accounts_stand_on_older_scopes,
    }
}

/// Keeps records that use no scope.
pub(super) async fn keep<S: Records + ?Sized>(store: &S, decisions: &[Decision]) -> Result<(), StoreError> {
    store.keep_decisions(decisions, &|_| ScopeSet::new(), at(1_000_000)).await
}

/// Runs `tasks` of the same at once and gives what each answered.
pub(super) async fn at_once<F, T>(tasks: u8, store: &Shared, act: impl Fn(Shared, u8) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let running: Vec<_> = (0..tasks).map(|task| tokio::spawn(act(Arc::clone(store), task))).collect();
    let mut answers = Vec::new();
    for task in running {
        answers.push(task.await.unwrap());
    }
    answers
}

pub(super) fn is_missing<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Missing(_)))
}
