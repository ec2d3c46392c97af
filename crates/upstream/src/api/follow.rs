//! Looking whether a document has changed, again and again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use super::document::Again;
use super::{Api, DocumentAt};
use crate::check::pause;
use crate::{CallError, Change, Target, Upstream};

/// After a document that could not be read for the first time the next look comes within this.
const FIRST_MIN: Duration = Duration::from_secs(1);

impl Upstream {
    /// Reads its document from now on, where it has one, and again when it has changed, until it is shut
    /// down. A second time changes nothing. Must be called within a tokio runtime.
    pub fn follow_document(self: &Arc<Self>) {
        let Target::Api { api, .. } = &self.options().target else { return };
        let (own, api) = (Arc::downgrade(self), Arc::clone(api));
        self.follows.start(|| tokio::spawn(follow(own, api)));
    }

    /// Reads it for the first time, or looks whether it has changed. Whether there is one in use.
    async fn look_at_document(&self, api: &Api, looks: &mut Looks) -> bool {
        if api.made().is_none() {
            let found = self.connector().await;
            if found.is_ok() && std::mem::take(&mut looks.missed) {
                // What was listed until now was nothing.
                self.changed(Change::Tools);
            }
            looks.missed |= found.is_err();
            return found.is_ok();
        }
        let upstream = self.name();
        match api.read_again((self.core(), self.http())).await {
            Ok(Again::Same) => looks.told = None,
            Ok(Again::Quiet) => {
                looks.told = None;
                tracing::info!(%upstream, "the document has changed, and its tools are the same");
            }
            Ok(Again::Other(differences)) => {
                looks.told = None;
                let left_out = api.made().map(|made| made.left_out()).unwrap_or_default();
                tracing::info!(%upstream, differences, ?left_out, "the document has changed");
                self.changed(Change::Tools);
            }
            Err(error) => looks.tell(self, &error),
        }
        true
    }
}

#[derive(Default)]
struct Looks {
    /// Somebody may have been told that there is nothing.
    missed: bool,
    /// The fault that was told last.
    told: Option<String>,
}

impl Looks {
    /// Says once what is wrong.
    fn tell(&mut self, upstream: &Upstream, error: &CallError) {
        let detail = error.detail.as_deref().unwrap_or_default().to_owned();
        if self.told.as_ref() != Some(&detail) {
            tracing::warn!(upstream = %upstream.name(), error = detail, "the new document is not used");
            self.told = Some(detail);
        }
    }
}

/// The task must not keep the upstream alive: it ends with it.
async fn follow(upstream: Weak<Upstream>, api: Arc<Api>) {
    let mut looks = Looks::default();
    let mut first = FIRST_MIN;
    loop {
        let Some(own) = upstream.upgrade() else { return };
        let known = own.look_at_document(&api, &mut looks).await;
        let random = own.core().rng.next_u64();
        drop(own);
        let refresh = api.options().refresh;
        let wait = if known { refresh } else { first.min(refresh) };
        first = if known { FIRST_MIN } else { first * 2 };
        sleep(match &api.options().document {
            DocumentAt::File(_) => wait,
            // So that replicas do not ask at the same time.
            DocumentAt::Url(_) => pause(wait, random, false),
        })
        .await;
    }
}
