//! What every backend promises, as tests. A backend gives a [`Harness`] and lists the tests with
//! [`contract_tests!`](crate::contract_tests).

mod audit;
mod budgets;
mod faults;
mod grants;
mod keys;
mod leases;
mod moving;
mod replicas;
mod sessions;
mod streams;
mod tasks;
mod transactions;

use std::sync::Arc;

use async_trait::async_trait;
use model::Timestamp;

use crate::{Records, Store, StoreError, Tx};

pub use audit::audit_story;
use audit::*;
use budgets::*;
use faults::*;
use grants::*;
use keys::*;
use leases::*;
use moving::*;
use replicas::*;
use sessions::*;
use streams::*;
use tasks::*;
use transactions::*;

/// Makes stores for tests.
#[async_trait]
pub trait Harness: Send + Sync {
    /// An empty store of this test's own.
    async fn fresh(&self) -> Arc<dyn Store>;

    /// Another handle to the same store, as another process would have it; `None` where there is none, as the
    /// store is a process's own.
    async fn again(&self) -> Option<Arc<dyn Store>>;
}

/// Far in the future, for what must not expire.
const LATER: Timestamp = Timestamp(4_000_000_000_000);

/// Does something in a transaction of its own.
async fn tx<T>(
    store: &dyn Store,
    change: impl AsyncFnOnce(&mut dyn Tx) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut tx = store.begin().await?;
    let done = change(&mut *tx).await?;
    tx.commit().await?;
    Ok(done)
}

async fn all(store: &dyn Store) -> Records {
    let mut records = Records::default();
    store.export(&mut records).await.expect("an export");
    records
}

macro_rules! tests {
    ($($name:ident)*) => {
        /// The names of all tests, each of which says what is promised.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// Runs the test of a name.
        ///
        /// # Panics
        /// Where the promise is not kept, or there is none of that name.
        pub async fn run(name: &str, harness: &dyn Harness) {
            match name {
                $(stringify!($name) => $name(harness).await,)*
                other => panic!("there is no test of the name {other}"),
            }
        }
    };
}

tests! {
    a_replica_is_as_it_told_last
    a_replica_that_left_or_was_silent_too_long_is_not_listed
    a_replica_is_kept_as_it_was_written
    a_session_is_what_its_changes_made_it
    a_session_that_ended_stays_ended
    a_session_takes_so_many_subscriptions_and_no_more
    a_limit_holds_however_many_subscribe_at_the_same_time
    a_session_expires_when_its_latest_change_says
    the_feed_tells_of_each_session_at_its_last_change
    the_feed_misses_nothing_while_many_write
    names_are_told_apart_byte_by_byte
    a_value_that_is_too_long_is_refused_by_name
    a_stream_gives_its_events_in_order
    events_are_added_all_or_none
    a_stream_keeps_no_more_than_it_may
    a_closed_stream_takes_nothing
    a_stream_belongs_to_one_session
    a_stream_expires_when_its_latest_change_says
    a_lease_has_one_holder
    a_lease_that_was_lost_is_not_renewed
    a_fence_grows_whenever_a_lease_is_taken
    of_many_who_take_a_lease_one_gets_it
    leases_of_a_kind_are_forgotten_once_they_ran_out
    a_key_is_added_once
    a_key_retires_and_is_forgotten
    a_key_is_never_shown
    a_grant_is_kept_as_it_was_written
    a_grant_is_written_over_what_was_read_and_nothing_else
    of_many_who_write_a_grant_one_does
    grants_are_listed_by_whose_and_what_for
    a_grant_expires_and_is_forgotten
    a_grant_is_never_shown
    a_budget_gives_what_is_wanted_or_what_there_is
    many_who_lease_of_a_budget_never_have_more_than_there_is
    what_was_leased_and_not_used_comes_back
    budgets_are_listed_by_how_their_names_begin
    a_budget_expires_when_its_latest_lease_says
    entries_are_added_to_a_log_of_the_size_that_was_read
    of_many_who_add_to_a_log_at_one_size_one_does
    entries_are_found_by_what_they_are
    entries_are_found_however_they_were_added
    what_is_written_together_is_there_or_nothing_of_it
    a_beginning_without_an_end_is_found
    a_checkpoint_takes_the_place_of_one_of_no_more_entries
    pruning_takes_entries_and_leaves_their_hashes
    what_was_said_is_erased_for_one_or_by_age_and_its_entries_stay
    nothing_of_a_dropped_transaction_is_seen
    nothing_of_a_transaction_is_seen_before_its_commit
    a_transaction_sees_its_own_changes
    a_transaction_that_is_dropped_in_the_middle_of_a_verb_leaves_nothing
    what_was_committed_is_found_by_others
    a_commit_wakes_whoever_waits
    a_closed_store_refuses
    a_store_that_is_in_order_says_so
    all_that_is_held_moves_to_another_store
    a_dump_that_was_changed_is_refused_and_nothing_is_taken_in
    what_failed_left_nothing_and_what_is_doubtful_is_whole
    a_task_is_kept_as_it_was_made
    a_key_makes_a_repeated_creation_the_same_task
    of_many_who_make_a_task_of_one_key_one_does
    a_change_is_made_of_what_was_read_and_of_nothing_else
    who_lost_his_lease_changes_nothing
    of_many_who_change_a_task_one_does
    tasks_are_given_out_by_what_has_to_be_done
    tasks_are_listed_the_newest_first
    what_a_tenant_has_is_counted
    a_sweep_leaves_that_a_task_was_there_and_then_nothing
    a_large_value_is_there_once_it_is_kept
    tasks_and_large_values_move_to_another_store
}

/// Makes a test of each promise, for a harness: a future of an `Option<impl Harness>`. `None` skips.
#[macro_export]
macro_rules! contract_tests {
    ($harness:expr) => {
        $crate::contract_tests! {
            $harness;
            a_replica_is_as_it_told_last
            a_replica_that_left_or_was_silent_too_long_is_not_listed
            a_replica_is_kept_as_it_was_written
            a_session_is_what_its_changes_made_it
            a_session_that_ended_stays_ended
            a_session_takes_so_many_subscriptions_and_no_more
            a_limit_holds_however_many_subscribe_at_the_same_time
            a_session_expires_when_its_latest_change_says
            the_feed_tells_of_each_session_at_its_last_change
            the_feed_misses_nothing_while_many_write
            names_are_told_apart_byte_by_byte
            a_value_that_is_too_long_is_refused_by_name
            a_stream_gives_its_events_in_order
            events_are_added_all_or_none
            a_stream_keeps_no_more_than_it_may
            a_closed_stream_takes_nothing
            a_stream_belongs_to_one_session
            a_stream_expires_when_its_latest_change_says
            a_lease_has_one_holder
            a_lease_that_was_lost_is_not_renewed
            a_fence_grows_whenever_a_lease_is_taken
            of_many_who_take_a_lease_one_gets_it
            leases_of_a_kind_are_forgotten_once_they_ran_out
            a_key_is_added_once
            a_key_retires_and_is_forgotten
            a_key_is_never_shown
            a_grant_is_kept_as_it_was_written
            a_grant_is_written_over_what_was_read_and_nothing_else
            of_many_who_write_a_grant_one_does
            grants_are_listed_by_whose_and_what_for
            a_grant_expires_and_is_forgotten
            a_grant_is_never_shown
            a_budget_gives_what_is_wanted_or_what_there_is
            many_who_lease_of_a_budget_never_have_more_than_there_is
            what_was_leased_and_not_used_comes_back
            budgets_are_listed_by_how_their_names_begin
            a_budget_expires_when_its_latest_lease_says
            entries_are_added_to_a_log_of_the_size_that_was_read
            of_many_who_add_to_a_log_at_one_size_one_does
            entries_are_found_by_what_they_are
            entries_are_found_however_they_were_added
            what_is_written_together_is_there_or_nothing_of_it
            a_beginning_without_an_end_is_found
            a_checkpoint_takes_the_place_of_one_of_no_more_entries
            pruning_takes_entries_and_leaves_their_hashes
            what_was_said_is_erased_for_one_or_by_age_and_its_entries_stay
            nothing_of_a_dropped_transaction_is_seen
            nothing_of_a_transaction_is_seen_before_its_commit
            a_transaction_sees_its_own_changes
            a_transaction_that_is_dropped_in_the_middle_of_a_verb_leaves_nothing
            what_was_committed_is_found_by_others
            a_commit_wakes_whoever_waits
            a_closed_store_refuses
            a_store_that_is_in_order_says_so
            all_that_is_held_moves_to_another_store
            a_dump_that_was_changed_is_refused_and_nothing_is_taken_in
            what_failed_left_nothing_and_what_is_doubtful_is_whole
            a_task_is_kept_as_it_was_made
            a_key_makes_a_repeated_creation_the_same_task
            of_many_who_make_a_task_of_one_key_one_does
            a_change_is_made_of_what_was_read_and_of_nothing_else
            who_lost_his_lease_changes_nothing
            of_many_who_change_a_task_one_does
            tasks_are_given_out_by_what_has_to_be_done
            tasks_are_listed_the_newest_first
            what_a_tenant_has_is_counted
            a_sweep_leaves_that_a_task_was_there_and_then_nothing
            a_large_value_is_there_once_it_is_kept
            tasks_and_large_values_move_to_another_store
        }
    };
    ($harness:expr; $($name:ident)*) => {
        const _: () = assert!($crate::contract::NAMES.len() == [$(stringify!($name)),*].len());

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let harness: Option<_> = $harness.await;
                if let Some(harness) = harness {
                    $crate::contract::run(stringify!($name), &harness).await;
                }
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use super::{Arc, Harness, Store, async_trait};
    use crate::Memory;

    struct InMemory;

    #[async_trait]
    impl Harness for InMemory {
        async fn fresh(&self) -> Arc<dyn Store> {
            Arc::new(Memory::new())
        }

        async fn again(&self) -> Option<Arc<dyn Store>> {
            None
        }
    }

    crate::contract_tests!(async { Some(InMemory) });
}
