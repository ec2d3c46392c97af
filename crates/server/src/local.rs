//! Calls from inside the process: the command line and the stdio edge use the same pipeline as HTTP.

use std::sync::Arc;

use catalog::Caller;
use http::HeaderMap;
use model::Principal;
use protocol::{Call, Capabilities, Method, Raw, Revision, RpcError};
use upstream::Reply;

use crate::app::{App, Exchange};
use crate::pipeline::execute;

/// One endpoint, for a caller in this process.
#[derive(Clone)]
pub struct Local {
    app: Arc<App>,
    endpoint: String,
    capabilities: Capabilities,
}

impl Local {
    /// `None`: there is no such endpoint.
    #[must_use]
    pub fn new(app: &Arc<App>, endpoint: &str, capabilities: Capabilities) -> Option<Self> {
        app.generation().endpoints.contains_key(endpoint).then(|| Self {
            app: Arc::clone(app),
            endpoint: endpoint.to_owned(),
            capabilities,
        })
    }

    /// Makes a modern call.
    ///
    /// # Errors
    /// What the gateway itself has to say against it.
    pub async fn call(&self, method: Method, params: &Raw) -> Result<Reply, RpcError> {
        let info = self.app.server_info.clone();
        let call = Call::own(method, params, &self.capabilities, &info);
        let caller = Caller {
            principal: Principal::anonymous(),
            capabilities: self.capabilities.clone(),
            client_info: info,
            trace: None,
        };
        let Some(x) = exchange(&self.app, &self.endpoint, caller) else {
            return Err(RpcError::invalid_request("the endpoint is gone"));
        };
        execute(&x, &call).await
    }
}

/// An exchange without HTTP. `None`: there is no such endpoint.
pub(crate) fn exchange(app: &Arc<App>, endpoint: &str, caller: Caller) -> Option<Exchange> {
    let generation = app.generation();
    let endpoint = Arc::clone(generation.endpoint(endpoint, app.clock.now())?);
    Some(Exchange {
        app: Arc::clone(app),
        generation,
        endpoint,
        who: somebody(&caller.principal),
        caller,
        headers: Arc::new(HeaderMap::new()),
        over_http: false,
        forwarded: false,
        certificate: None,
        revision: Revision::NEWEST,
        lines: None,
        replay: None,
        request_id: None,
        place: None,
        hosted: None,
        address: None,
        noted: None,
        stale: Arc::default(),
        through: false,
    })
}

/// Somebody of whom nothing but the name is known here: the operator, or the caller of a task.
pub(crate) fn somebody(principal: &Principal) -> Arc<identity::Caller> {
    Arc::new(identity::Caller { principal: principal.clone(), ..identity::Caller::anonymous() })
}
