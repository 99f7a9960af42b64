"""authlib and requests-oauthlib as OAuth clients of scimd. Prints `ok NAME` or `failed NAME: why` for each way to sign in."""

import json
import os
import sys
import time

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def make_keys(folder):
    """Writes the keys of an issuer, and an assertion that is valid for an hour."""
    from authlib.jose import JsonWebKey, jwt

    key = JsonWebKey.generate_key("RSA", 2048, {"kid": "one", "use": "sig"}, is_private=True)
    with open(f"{folder}/keys.json", "w") as file:
        json.dump({"keys": [key.as_dict(is_private=False)]}, file)
    now = int(time.time())
    claims = {"iss": "https://issuer.example", "sub": "workload", "aud": "api://scimd", "iat": now, "exp": now + 3600}
    with open(f"{folder}/assertion", "wb") as file:
        file.write(jwt.encode({"alg": "RS256", "kid": "one"}, claims, key))


def authlib_key():
    from authlib.integrations.requests_client import OAuth2Session
    from authlib.oauth2.rfc7523 import PrivateKeyJWT

    # Without a claim of its own, authlib makes assertions that are valid for an hour.
    method = PrivateKeyJWT(with_key["token_url"], claims={"exp": int(time.time()) + 300}, alg="RS256")
    session = OAuth2Session(
        with_key["client_id"], private_key, token_endpoint_auth_method=PrivateKeyJWT.name, scope="scim"
    )
    session.register_client_auth_method(method)
    session.fetch_token(with_key["token_url"], grant_type="client_credentials")
    use(session)


def use(session):
    answer = session.get(os.environ["SCIMD_URL"] + "/scim/v2/Users?count=1")
    assert answer.status_code == 200, answer.text


def authlib_session(method):
    from authlib.integrations.requests_client import OAuth2Session

    session = OAuth2Session(client["client_id"], client["client_secret"], token_endpoint_auth_method=method, scope="scim")
    token = session.fetch_token(client["token_url"], grant_type="client_credentials")
    assert 3600 <= token["expires_in"] <= 21600, token
    use(session)


def authlib_assertion():
    from authlib.integrations.requests_client import OAuth2Session

    session = OAuth2Session("clients", token_endpoint_auth_method="none", scope="scim")
    session.fetch_token(
        client["token_url"],
        grant_type="client_credentials",
        client_assertion_type=ASSERTION_TYPE,
        client_assertion=assertion,
    )
    use(session)


def oauthlib_session(**how):
    from oauthlib.oauth2 import BackendApplicationClient
    from requests_oauthlib import OAuth2Session

    session = OAuth2Session(client=BackendApplicationClient(how.pop("client_id", client["client_id"]), scope="scim"))
    session.fetch_token(client["token_url"], **how)
    use(session)


def oauthlib_basic():
    from requests.auth import HTTPBasicAuth

    oauthlib_session(auth=HTTPBasicAuth(client["client_id"], client["client_secret"]))


WAYS = {
    "authlib client_secret_basic": lambda: authlib_session("client_secret_basic"),
    "authlib client_secret_post": lambda: authlib_session("client_secret_post"),
    "authlib private_key_jwt": authlib_key,
    "authlib federation": authlib_assertion,
    "requests-oauthlib client_secret_basic": oauthlib_basic,
    "requests-oauthlib client_secret_post": lambda: oauthlib_session(
        include_client_id=True, client_secret=client["client_secret"]
    ),
    "requests-oauthlib federation": lambda: oauthlib_session(
        client_id="clients", include_client_id=True, client_assertion_type=ASSERTION_TYPE, client_assertion=assertion
    ),
}

if sys.argv[1] == "keys":
    make_keys(sys.argv[2])
else:
    client = json.load(open(os.environ["SCIMD_CLIENT"]))
    with_key = json.load(open(os.environ["SCIMD_CLIENT_WITH_KEY"]))
    private_key = open(os.environ["SCIMD_PRIVATE_KEY"]).read()
    assertion = open(os.environ["SCIMD_ASSERTION"]).read()
    for name, way in WAYS.items():
        try:
            way()
            print("ok", name, flush=True)
        except Exception as error:  # each way is tried, whatever becomes of the others
            print("failed", name, repr(error).replace("\n", " "), flush=True)
