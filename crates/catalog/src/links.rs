//! Resource links in results: where several upstreams are one, a link must lead back to who gave it.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use protocol::Raw;
use protocol::json::{Object, array};

use crate::endpoint::Endpoint;
use crate::source::Caller;
use crate::uris;

/// What every link has.
static URI: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"uri\""));

impl Endpoint {
    /// A result of this upstream with its links as the endpoint's clients can follow them.
    ///
    /// A link to a resource that the endpoint itself would read elsewhere, or nowhere, is wrapped as
    /// colliding entries of lists are; every other one stays as it came, byte for byte. Links into the
    /// web, which clients follow by themselves (server/resources, "Common URI Schemes"), are wrapped in
    /// the first case alone.
    pub async fn relink(&self, caller: &Caller, upstream: &str, result: Raw) -> Raw {
        let of_upstream = |p: &crate::Part| p.source.upstream().name().as_str() == upstream;
        let Some(part) = self.parts().iter().position(of_upstream) else { return result };
        if self.parts().len() < 2 || URI.find(result.as_bytes()).is_none() {
            return result;
        }
        Box::pin(self.relinked(caller, part, result)).await
    }

    async fn relinked(&self, caller: &Caller, part: usize, result: Raw) -> Raw {
        let Ok(Some(object)) = result.object() else { return result };
        let links = Links { endpoint: self, caller, part };
        let mut changed = None;
        for member in ["content", "contents", "messages"] {
            let Some(items) = object.get(member).and_then(|items| items.items()) else { continue };
            let items = match member {
                "messages" => links.messages(items).await,
                _ => links.blocks(items).await,
            };
            if let Some(items) = items {
                let before: Object = changed.unwrap_or_else(|| object.clone());
                let after = before.edit().set(member, array(&items)).finish();
                changed = after.object().ok().flatten();
            }
        }
        changed.map_or(result, |object| object.raw())
    }
}

struct Links<'a> {
    endpoint: &'a Endpoint,
    caller: &'a Caller,
    part: usize,
}

impl Links<'_> {
    /// Content blocks or contents of resources; `None`: all may stay as they are.
    async fn blocks(&self, mut items: Vec<Raw>) -> Option<Vec<Raw>> {
        let mut any = false;
        for item in &mut items {
            if let Some(changed) = self.block(item).await {
                *item = changed;
                any = true;
            }
        }
        any.then_some(items)
    }

    /// Messages of a prompt, with one content block each or several.
    async fn messages(&self, mut items: Vec<Raw>) -> Option<Vec<Raw>> {
        let mut any = false;
        for item in &mut items {
            let Ok(Some(message)) = item.object() else { continue };
            let Some(content) = message.get("content") else { continue };
            let content = match content.items() {
                Some(blocks) => self.blocks(blocks).await.map(|blocks| array(&blocks)),
                None => self.block(&content).await,
            };
            if let Some(content) = content {
                *item = message.edit().set("content", content).finish();
                any = true;
            }
        }
        any.then_some(items)
    }

    async fn block(&self, block: &Raw) -> Option<Raw> {
        let object = block.object().ok()??;
        if let Some(link) = self.link(&object).await {
            return Some(link);
        }
        let embedded = object.get("resource")?.object().ok()??;
        Some(object.edit().set("resource", self.link(&embedded).await?).finish())
    }

    async fn link(&self, object: &Object) -> Option<Raw> {
        let uri = object.get("uri")?;
        let uri = uri.as_str()?;
        let leads = match uris::is_wrapped(&uri) {
            true => None,
            false => self.endpoint.best_fit(self.caller, &uri).await,
        };
        let web = uri.starts_with("https://") || uri.starts_with("http://");
        if leads == Some(self.part) || (leads.is_none() && web) {
            return None;
        }
        let upstream = self.endpoint.parts()[self.part].source.upstream().name().as_str();
        Some(object.edit().set("uri", Raw::string(&uris::wrap(upstream, &uri))).finish())
    }
}
