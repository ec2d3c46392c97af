//! Sending a client's request on to the replica that it is about.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use egress::{EgressError, Timeouts};
use futures_util::StreamExt as _;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use identity::Certificate;
use model::ReplicaId;
use tokio::time::timeout;

use super::parcel::pack;
use super::proof::{PROOF, Slip};
use super::{Peer, Replicas, Word};
use crate::answer::{self, Answer, BodyError};

/// Where the internal listener takes requests. The number is the format's.
pub(super) const PATH: &str = "/replica/2/requests";

/// Where it takes words.
pub(super) const WORDS: &str = "/replica/1/words";

/// How long a word to all may take.
const WORD_TIME: Duration = Duration::from_secs(2);

/// A client's request as it came.
pub(crate) struct Received<'a> {
    pub method: &'a Method,
    pub target: &'a Uri,
    pub headers: &'a HeaderMap,
    /// That of the connection that it came by.
    pub certificate: Option<&'a Arc<Certificate>>,
    /// Where it came from.
    pub address: Option<std::net::IpAddr>,
    pub body: Bytes,
}

/// Why a request could not be sent on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// The replica does not live: nothing was sent.
    #[error("replica {0} is gone")]
    Gone(ReplicaId),
    /// It could not be reached, or broke off.
    #[error("replica {id} gave no answer")]
    Silent { id: ReplicaId, source: EgressError },
    /// It vanished while it was waited for.
    #[error("replica {0} vanished before it answered")]
    Vanished(ReplicaId),
    /// Whoever answered there is no replica of ours.
    #[error("who answers in place of replica {0} does not have our keys")]
    Stranger(ReplicaId),
}

impl ForwardError {
    /// Whether the request may have had an effect.
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Gone(_) => false,
            Self::Silent { source, .. } => !source.nothing_sent(),
            Self::Vanished(_) | Self::Stranger(_) => true,
        }
    }
}

/// Sends a request to its owner and gives the owner's answer, which streams where the owner's does.
pub(crate) async fn forward(
    replicas: &Arc<Replicas>,
    to: &ReplicaId,
    received: Received<'_>,
) -> Result<Answer, ForwardError> {
    let peer = replicas.peer(to).ok_or_else(|| ForwardError::Gone(to.clone()))?;
    let parcel = pack(&received);
    let response = tokio::select! {
        response = send(replicas, &peer, PATH, parcel) => response?,
        () = replicas.gone(to) => return Err(ForwardError::Vanished(to.clone())),
    };
    Ok(passed_on(replicas, to, response))
}

async fn send(
    replicas: &Replicas,
    peer: &Peer,
    path: &'static str,
    parcel: Bytes,
) -> Result<Response<egress::ResponseBody>, ForwardError> {
    let slip = Slip::new(&replicas.me, &peer.id, replicas.clock.now(), &*replicas.rng);
    let proof = slip.prove(&replicas.keys, replicas.clock.now(), path, &parcel);
    let mut url = peer.url.clone().into_parts();
    url.path_and_query = Some(http::uri::PathAndQuery::from_static(path));
    let mut request = Request::new(Full::new(parcel));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_parts(url).unwrap_or_default();
    request.headers_mut().insert(PROOF, proof);
    let silent = |source| ForwardError::Silent { id: peer.id.clone(), source };
    let response = replicas.http.send(request, &Timeouts::default()).await.map_err(silent)?;
    let now = replicas.clock.now();
    if slip.check_answer(&replicas.keys, now, response.status(), response.headers()) {
        Ok(response)
    } else {
        Err(ForwardError::Stranger(peer.id.clone()))
    }
}

/// The owner's answer as ours. It breaks off where the owner vanishes.
fn passed_on(
    replicas: &Arc<Replicas>,
    owner: &ReplicaId,
    response: Response<egress::ResponseBody>,
) -> Answer {
    let (mut head, body) = response.into_parts();
    // What belongs to the hop; the rest is the client's.
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, DATE, PROOF] {
        head.headers.remove(name);
    }
    let (replicas, owner) = (Arc::clone(replicas), owner.clone());
    let gone = async move {
        replicas.gone(&owner).await;
        let error: BodyError = Box::new(ForwardError::Vanished(owner));
        Some(Err(error))
    };
    let chunks = body.map(|chunk| Some(chunk.map_err(|error| -> BodyError { Box::new(error) })));
    let ended = futures_util::stream::once(async { None });
    // Either the body to its end, or the news that its owner is gone, whichever comes first.
    let both = futures_util::stream::select(chunks.chain(ended), futures_util::stream::once(gone));
    let until = futures_util::stream::unfold(Some(Box::pin(both)), |both| async move {
        let mut both = both?;
        match both.next().await.flatten()? {
            Ok(chunk) => Some((Ok(chunk), Some(both))),
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut answer = answer::streamed(Box::pin(until));
    *answer.status_mut() = head.status;
    *answer.headers_mut() = head.headers;
    answer
}

/// Sends a request to all others, for what nobody knows where it lives. Nobody's answer is waited for longer
/// than a moment: who does not hear it in time has a call that ends by itself.
pub(crate) async fn tell_others(replicas: &Arc<Replicas>, received: Received<'_>) {
    let parcel = pack(&received);
    send_all(replicas, PATH, parcel).await;
}

/// Says a word to all others, and waits a moment until they have heard it.
pub(crate) async fn say(replicas: &Replicas, word: &Word) {
    send_all(replicas, WORDS, word.write()).await;
}

async fn send_all(replicas: &Replicas, path: &'static str, parcel: Bytes) {
    let told = replicas.peers().into_iter().map(|peer| {
        let parcel = parcel.clone();
        async move {
            match timeout(WORD_TIME, send(replicas, &peer, path, parcel)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a replica did not hear a word to all"),
                Err(_) => tracing::debug!(replica = %peer.id, "a replica did not hear a word to all in time"),
            }
        }
    });
    futures_util::future::join_all(told).await;
}
