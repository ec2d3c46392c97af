//! How a token is had, as clients write it.

use serde_json::{Map, Value, json};

use super::dialect::{Dialect, OauthStyle};
use crate::model::{Oauth, Server};
use crate::report::Report;
use crate::syntax::Reader;
use crate::text::Text;

/// Reads it.
pub(super) fn read(dialect: &Dialect, reader: &mut Reader<'_>) -> Option<Oauth> {
    let mut oauth = Oauth::default();
    let parse = |text: String| dialect.variables.parse(&text);
    let key = match dialect.oauth {
        OauthStyle::None => return None,
        OauthStyle::Cursor => "auth",
        _ => "oauth",
    };
    if let Some(mut inner) = reader.inner(key) {
        match dialect.oauth {
            OauthStyle::None => {}
            OauthStyle::Cursor => {
                oauth.client_id = inner.text("CLIENT_ID").map(parse);
                oauth.client_secret = inner.text("CLIENT_SECRET").map(parse);
                oauth.scopes = inner.list("scopes").unwrap_or_default();
            }
            OauthStyle::ClaudeCode => {
                oauth.client_id = inner.text("clientId").map(parse);
                let scopes = inner.text("scopes").unwrap_or_default();
                oauth.scopes = scopes.split_whitespace().map(str::to_owned).collect();
                oauth.metadata_url = inner.text("authServerMetadataUrl");
                match inner.scaled("callbackPort", 1).map(u16::try_from) {
                    Some(Ok(port)) => oauth.callback_port = Some(port),
                    Some(Err(_)) => inner.fail_at("callbackPort", "there is no such port"),
                    None => {}
                }
            }
            OauthStyle::Kiro => oauth.client_id = inner.text("clientId").map(parse),
            OauthStyle::Code => {
                oauth.client_id = inner.text("clientId").map(parse);
                oauth.client_secret = inner.text("clientSecret").map(parse);
            }
            OauthStyle::Portable => {
                oauth.client_id = inner.text("clientId").map(parse);
                oauth.scopes = inner.list("scopes").unwrap_or_default();
                oauth.redirect_uri = inner.text("redirectUri");
            }
            OauthStyle::Gemini => {
                oauth.client_id = inner.text("clientId").map(parse);
                oauth.client_secret = inner.text("clientSecret").map(parse);
                oauth.scopes = inner.list("scopes").unwrap_or_default();
                oauth.redirect_uri = inner.text("redirectUri");
                oauth.authorization_url = inner.text("authorizationUrl");
                oauth.token_url = inner.text("tokenUrl");
                if let Some(audiences) = inner.list("audiences") {
                    match audiences.as_slice() {
                        [] => {}
                        [one] => oauth.audience = Some(one.clone()),
                        _ => inner.fail_at("audiences", "only one can be taken over"),
                    }
                }
            }
        }
        oauth.unknown = reader.close(inner);
    }
    if dialect.oauth == OauthStyle::Kiro {
        oauth.scopes = reader.list("oauthScopes").unwrap_or_default();
    }
    (oauth != Oauth::default()).then_some(oauth)
}

/// Writes it. What cannot be said was taken out before.
pub(super) fn write(dialect: &Dialect, oauth: &Oauth, entry: &mut Map<String, Value>) {
    let mut inner = Map::new();
    let spell = |text: &Option<Text>| text.as_ref().and_then(|text| dialect.variables.render(text));
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            inner.insert(key.to_owned(), value);
        }
    };
    let (id, secret) =
        (spell(&oauth.client_id).map(Value::from), spell(&oauth.client_secret).map(Value::from));
    let scopes = (!oauth.scopes.is_empty()).then(|| json!(oauth.scopes));
    let redirect = oauth.redirect_uri.clone().map(Value::from);
    match dialect.oauth {
        OauthStyle::None => return,
        OauthStyle::Cursor => {
            put("CLIENT_ID", id);
            put("CLIENT_SECRET", secret);
            put("scopes", scopes);
        }
        OauthStyle::ClaudeCode => {
            put("clientId", id);
            put("callbackPort", oauth.callback_port.map(Value::from));
            put("authServerMetadataUrl", oauth.metadata_url.clone().map(Value::from));
            put("scopes", (!oauth.scopes.is_empty()).then(|| json!(oauth.scopes.join(" "))));
        }
        OauthStyle::Kiro => {
            put("clientId", id);
            if let Some(scopes) = scopes {
                entry.insert("oauthScopes".to_owned(), scopes);
            }
        }
        OauthStyle::Code => {
            put("clientId", id);
            put("clientSecret", secret);
        }
        OauthStyle::Portable => {
            put("clientId", id);
            put("scopes", scopes);
            put("redirectUri", redirect);
        }
        OauthStyle::Gemini => {
            put("clientId", id);
            put("clientSecret", secret);
            put("authorizationUrl", oauth.authorization_url.clone().map(Value::from));
            put("tokenUrl", oauth.token_url.clone().map(Value::from));
            put("scopes", scopes);
            put("redirectUri", redirect);
            put("audiences", oauth.audience.as_ref().map(|audience| json!([audience])));
        }
    }
    inner.extend(oauth.unknown.clone());
    if !inner.is_empty() {
        let key = if dialect.oauth == OauthStyle::Cursor { "auth" } else { "oauth" };
        entry.insert(key.to_owned(), Value::Object(inner));
    }
}

/// Takes out what a style that has a part of it cannot say.
pub(super) fn adjust(dialect: &Dialect, path: &str, server: &mut Server, report: &mut Report) {
    let Some(oauth) = &mut server.oauth else { return };
    let drop = |field: &mut Option<String>, name: &str, report: &mut Report| {
        if field.take().is_some() {
            report.dropped(format!("{path}.oauth.{name}"), false, "the client has no place for it");
        }
    };
    match dialect.oauth {
        OauthStyle::ClaudeCode => {
            drop(&mut oauth.redirect_uri, "redirect_uri", report);
            drop(&mut oauth.authorization_url, "authorization_url", report);
            drop(&mut oauth.token_url, "token_url", report);
            drop(&mut oauth.issuer, "issuer", report);
            drop(&mut oauth.audience, "audience", report);
            if oauth.scopes.iter().any(|scope| scope.contains(char::is_whitespace) || scope.is_empty()) {
                oauth.scopes.clear();
                let meaning = "a scope with a blank cannot be written: all scopes are asked for";
                report.dropped(format!("{path}.oauth.scopes"), true, meaning);
            }
        }
        OauthStyle::Gemini | OauthStyle::Portable => {
            if oauth.callback_port.take().is_some() {
                let meaning = "the client has no place for it";
                report.dropped(format!("{path}.oauth.callback_port"), false, meaning);
            }
            drop(&mut oauth.metadata_url, "metadata_url", report);
            drop(&mut oauth.issuer, "issuer", report);
        }
        OauthStyle::None | OauthStyle::Cursor | OauthStyle::Kiro | OauthStyle::Code => {}
    }
    if *oauth == Oauth::default() {
        server.oauth = None;
    }
}
