//! What users have granted to clients of the gateway's own authorization server: codes, which are good once
//! and for a moment, and grants, which live on by tokens that change with each use (OAuth 2.1, section 4.3).

use std::time::Duration;

use model::{Principal, Timestamp};
use seal::{Binding, Purpose};
use serde_json::{Value, json};

use super::clients::nobody;
use super::issue::User;
use super::request::AuthRequest;
use super::{Broker, OAuthError, PLACE};
use crate::barred::Bar;
use crate::outbound::hashed;
use crate::vault::{Place, VaultError};

/// How long a code is good (OAuth 2.1, section 4.1.2 allows ten minutes).
const CODE: Duration = Duration::from_secs(60);
/// How long it is remembered that somebody has granted a client something.
const APPROVED: Duration = Duration::from_secs(180 * 24 * 3_600);
/// For so long the token before the newest one is still one of the same client's: programs that do several
/// things at a time use one token several times at the same moment, and have to lose nothing by that.
const TOGETHER: Duration = Duration::from_secs(10);
/// Records of one user that are looked at.
const RECORDS_MAX: usize = 1_000;
/// How long a token of the gateway's may be good besides its own time, for clocks that are apart.
const SKEW: Duration = Duration::from_secs(600);

/// What a code stands for.
pub(super) struct Code {
    pub request: AuthRequest,
    pub user: User,
    /// The name of the grant that it begins.
    pub grant: String,
    pub until: Timestamp,
}

/// A grant that lives on.
#[derive(Clone)]
pub(super) struct Grant {
    pub client: String,
    pub resource: String,
    pub scopes: Vec<String>,
    pub user: User,
    /// The key that its tokens are bound to.
    pub key: Option<String>,
    /// Which of its refresh tokens is good.
    pub turn: u64,
    /// Since when.
    pub turned: Timestamp,
    /// When it ends, whatever happens.
    pub until: Timestamp,
}

impl Grant {
    fn to_value(&self, id: &str) -> Value {
        json!({
            "id": id, "client": self.client, "resource": self.resource, "scopes": self.scopes,
            "user": self.user.to_value(), "key": self.key, "turn": self.turn, "turned": self.turned.0,
            "until": self.until.0,
        })
    }

    fn of_value(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let scopes = value.get("scopes")?.as_array()?.iter().filter_map(Value::as_str);
        Some(Self {
            client: text("client")?,
            resource: text("resource")?,
            scopes: scopes.map(str::to_owned).collect(),
            user: User::of_value(value.get("user")?)?,
            key: text("key"),
            turn: value.get("turn")?.as_u64()?,
            turned: Timestamp(value.get("turned")?.as_u64()?),
            until: Timestamp(value.get("until")?.as_u64()?),
        })
    }
}

/// A refresh token, opened.
pub(super) struct Refresh {
    pub grant: String,
    pub principal: Principal,
    turn: u64,
}

/// What a refresh token comes to.
pub(super) enum Turned {
    /// The grant, which goes on with its next token.
    On(Grant),
    /// There is none any more.
    Gone,
    /// The token was used before: whoever has the other one, or this one, has stolen it.
    Again,
}

/// A client that a user has let act for him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// What the record is found by.
    pub record: String,
    /// The client.
    pub client: String,
    /// Its name, as it was shown.
    pub name: String,
    /// What it may use.
    pub resource: String,
    /// What it may do there.
    pub scopes: Vec<String>,
    /// When that was.
    pub at: Timestamp,
}

impl Approved {
    fn read(record: &str, data: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(data).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let scopes = value.get("scopes")?.as_array()?.iter().filter_map(Value::as_str);
        Some(Self {
            record: record.to_owned(),
            client: text("client")?,
            name: text("name")?,
            resource: text("resource")?,
            scopes: scopes.map(str::to_owned).collect(),
            at: Timestamp(value.get("at")?.as_u64()?),
        })
    }
}

fn approval(principal: &Principal, client: &str) -> String {
    hashed("approved", &[principal.tenant(), principal.subject(), client])
}

impl Broker {
    fn seal(&self, purpose: Purpose, until: Timestamp, value: &Value) -> String {
        let nobody = nobody();
        let binding = Binding { principal: &nobody, endpoint: PLACE, purpose };
        self.keys.seal(&*self.rng, self.clock.now(), &binding, until, value.to_string().as_bytes())
    }

    fn open(&self, purpose: Purpose, text: &str) -> Option<(Value, Timestamp)> {
        let nobody = nobody();
        let binding = Binding { principal: &nobody, endpoint: PLACE, purpose };
        let (bytes, until) = self.keys.open_with_expiry(&binding, self.clock.now(), text)?;
        Some((serde_json::from_slice(&bytes).ok()?, until))
    }

    /// A name for a grant. Its tokens have it, too, so that whoever takes it back by its name ends those.
    pub(super) fn grant_name(&self) -> String {
        format!("grant/{}", crate::outbound::random(&*self.rng))
    }

    /// A code for what a user has granted.
    pub(super) fn code(&self, request: &AuthRequest, user: &User) -> String {
        let grant = self.grant_name();
        let value = json!({"request": request.to_value(), "user": user.to_value(), "grant": grant});
        self.seal(Purpose::Code, self.clock.now().plus(CODE), &value)
    }

    pub(super) fn open_code(&self, text: &str) -> Option<Code> {
        let (value, until) = self.open(Purpose::Code, text)?;
        Some(Code {
            request: AuthRequest::of_value(value.get("request")?)?,
            user: User::of_value(value.get("user")?)?,
            grant: value.get("grant")?.as_str()?.to_owned(),
            until,
        })
    }

    /// A refresh token of this turn of a grant.
    pub(super) fn refresh_token(&self, id: &str, grant: &Grant) -> String {
        let principal = &grant.user.principal;
        let value = json!({
            "grant": id, "tenant": principal.tenant(), "subject": principal.subject(), "turn": grant.turn,
        });
        self.seal(Purpose::Refresh, grant.until, &value)
    }

    pub(super) fn open_refresh(&self, text: &str) -> Option<Refresh> {
        let (value, _) = self.open(Purpose::Refresh, text)?;
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        Some(Refresh {
            grant: text("grant")?.to_owned(),
            principal: Principal::new(text("tenant")?, text("subject")?),
            turn: value.get("turn")?.as_u64()?,
        })
    }

    /// Begins a grant; `false` where it was begun or ended before.
    pub(super) async fn begin(&self, id: &str, grant: &Grant) -> Result<bool, OAuthError> {
        let place = Place { principal: &grant.user.principal, upstream: PLACE, name: id };
        let time = grant.until.since(self.clock.now());
        Ok(self.vault.put(place, 0, grant.to_value(id).to_string().as_bytes(), time).await?)
    }

    /// Looks at a grant, and changes nothing of it.
    pub(super) async fn grant(&self, refresh: &Refresh) -> Result<Option<Grant>, OAuthError> {
        Ok(self.look(refresh).await?.map(|(_, grant)| grant))
    }

    /// The same, and how often it was written.
    pub(super) async fn look(&self, refresh: &Refresh) -> Result<Option<(u64, Grant)>, OAuthError> {
        let place = Place { principal: &refresh.principal, upstream: PLACE, name: &refresh.grant };
        let kept = self.vault.get(place).await?;
        Ok(kept.and_then(|kept| {
            let value: Value = serde_json::from_slice(&kept.data).ok()?;
            Grant::of_value(&value).map(|grant| (kept.version, grant))
        }))
    }

    /// Uses a refresh token up, of a grant as it was looked at.
    pub(super) async fn turn(
        &self,
        refresh: &Refresh,
        version: u64,
        grant: Grant,
    ) -> Result<Turned, OAuthError> {
        if grant.turn != refresh.turn {
            return Ok(self.again(refresh, grant));
        }
        let next = Grant { turn: grant.turn + 1, turned: self.clock.now(), ..grant };
        let place = Place { principal: &refresh.principal, upstream: PLACE, name: &refresh.grant };
        let time = next.until.since(self.clock.now());
        let put = self
            .vault
            .put(place, version, next.to_value(&refresh.grant).to_string().as_bytes(), time)
            .await?;
        if put {
            return Ok(Turned::On(next));
        }
        // Of two who come with one token at the same time, one comes second.
        Ok(match self.look(refresh).await? {
            Some((_, grant)) => self.again(refresh, grant),
            None => Turned::Gone,
        })
    }

    /// What a refresh token comes to that was used before: the same as its first use, within a moment and
    /// while nobody has used what that gave.
    fn again(&self, refresh: &Refresh, grant: Grant) -> Turned {
        let together = grant.turn == refresh.turn + 1 && self.clock.now() < grant.turned.plus(TOGETHER);
        if together { Turned::On(grant) } else { Turned::Again }
    }

    /// Ends a grant, and what was issued by it, at all replicas.
    ///
    /// # Errors
    /// [`VaultError`]
    pub(super) async fn end(&self, id: &str, principal: &Principal) -> Result<(), VaultError> {
        self.vault.remove(Place { principal, upstream: PLACE, name: id }).await?;
        let now = self.clock.now();
        let bar = Bar {
            tenant: principal.tenant().to_owned(),
            subject: principal.subject().to_owned(),
            grant: Some(id.to_owned()),
            before: Timestamp(u64::MAX),
            until: now.plus(self.options.token_time).plus(SKEW),
        };
        self.bars.bar(bar).await
    }

    /// Whether this user has granted this client all of that before, for the same address.
    ///
    /// # Errors
    /// [`VaultError`]
    pub async fn has_approved(&self, user: &User, request: &AuthRequest) -> Result<bool, VaultError> {
        let name = approval(&user.principal, &request.client);
        let kept = self.vault.get(Place { principal: &user.principal, upstream: PLACE, name: &name }).await?;
        let value: Option<Value> = kept.and_then(|kept| serde_json::from_slice(&kept.data).ok());
        let Some(value) = value else { return Ok(false) };
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let scopes: Vec<&str> = match value.get("scopes").and_then(Value::as_array) {
            Some(all) => all.iter().filter_map(Value::as_str).collect(),
            None => return Ok(false),
        };
        // The port of a program on the user's machine is another one each time.
        let same = text("redirect").is_some_and(|known| super::redirect::fits(known, &request.redirect));
        Ok(text("client") == Some(request.client.as_str())
            && same
            && text("resource") == Some(request.resource.as_str())
            && request.scopes.iter().all(|scope| scopes.contains(&scope.as_str())))
    }

    /// A user lets a client do what it asks for: remembered, and told the client by a code. Where he is sent.
    ///
    /// # Errors
    /// [`VaultError`]
    pub async fn approve(
        &self,
        base: &str,
        user: &User,
        request: &AuthRequest,
    ) -> Result<String, VaultError> {
        let name = approval(&user.principal, &request.client);
        let place = Place { principal: &user.principal, upstream: PLACE, name: &name };
        let value = json!({
            "client": request.client, "name": request.name, "redirect": request.redirect,
            "resource": request.resource, "scopes": request.scopes, "at": self.clock.now().0,
        });
        let version = self.vault.get(place).await?.map_or(0, |kept| kept.version);
        // Where he did the same elsewhere at this moment, that counts as well.
        self.vault.put(place, version, value.to_string().as_bytes(), APPROVED).await?;
        Ok(self.answer(base, user, request))
    }

    /// Which clients this user has let act for him, the last first.
    ///
    /// # Errors
    /// [`VaultError`]
    pub async fn approved(&self, principal: &Principal) -> Result<Vec<Approved>, VaultError> {
        let all = self.vault.all(principal, RECORDS_MAX).await?;
        let own =
            all.into_iter().filter(|found| found.upstream == PLACE && found.name.starts_with("approved/"));
        let mut all: Vec<_> = own.filter_map(|found| Approved::read(&found.name, &found.kept.data)).collect();
        all.sort_by_key(|approved| std::cmp::Reverse(approved.at));
        Ok(all)
    }

    /// Takes back what this user has let a client do, by the name of the record. Says whether there was such.
    ///
    /// # Errors
    /// [`VaultError`]
    pub async fn take_back(&self, principal: &Principal, name: &str) -> Result<bool, VaultError> {
        let all = self.vault.all(principal, RECORDS_MAX).await?;
        let own = all.iter().find(|found| found.upstream == PLACE && found.name == name);
        let Some(approved) = own.and_then(|found| Approved::read(&found.name, &found.kept.data)) else {
            return Ok(false);
        };
        for found in all.iter().filter(|found| found.upstream == PLACE && found.name.starts_with("grant/")) {
            let value: Value = serde_json::from_slice(&found.kept.data).unwrap_or_default();
            let text = |name: &str| value.get(name).and_then(Value::as_str);
            if let Some(id) = text("id").filter(|_| text("client") == Some(approved.client.as_str())) {
                self.end(id, principal).await?;
            }
        }
        self.vault.remove(Place { principal, upstream: PLACE, name }).await?;
        Ok(true)
    }

    /// The address that brings the client a code for what a user has granted before.
    #[must_use]
    pub fn answer(&self, base: &str, user: &User, request: &AuthRequest) -> String {
        request.back(base, &[("code", &self.code(request, user))])
    }
}
