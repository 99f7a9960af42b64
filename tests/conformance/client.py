"""The life of a user and of a group, as a program on scim2-client lives it.

scim2-client checks every answer against the schemas that the server publishes, its media type and its
status, so each step checks more than it says.
"""

import uuid

from scim2_models import Error, SearchRequest

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Life:
    """What the steps share; they run in the order in which they are written."""

    def __init__(self, client):
        self.client = client
        self.name = f"ada-{uuid.uuid4().hex[:8]}@example.com"

    def step_discover(self):
        self.client.discover()
        self.user_model = self.client.get_resource_model("User")
        self.group_model = self.client.get_resource_model("Group")
        assert self.user_model and self.group_model

    def step_create_user(self):
        work = {"value": self.name, "type": "work", "primary": True}
        name = {"givenName": "Ada", "familyName": "Lovelace"}
        self.user = self.client.create(
            self.user_model.model_validate(
                {"userName": self.name, "name": name, "emails": [work], "active": True}
            )
        )
        assert self.user.id and self.user.meta.version
        assert self.user.meta.location.endswith(f"/Users/{self.user.id}")

    def step_create_user_twice(self):
        again = self.user_model.model_validate({"userName": self.name.upper()})
        self.refused(409, "uniqueness", self.client.create, again)

    def step_retrieve_user(self):
        assert self.client.query(self.user_model, self.user.id) == self.user

    def step_query_by_user_name(self):
        found = self.find(f'userName eq "{self.name.upper()}"')
        assert [user.id for user in found.resources] == [self.user.id]

    def step_query_by_value_path(self):
        found = self.find(f'emails[type eq "work" and value co "{self.name[:12]}"] and active eq true')
        assert [user.id for user in found.resources] == [self.user.id]

    def step_query_finds_nothing(self):
        found = self.find(f'userName eq "nobody-{self.name}"')
        assert found.total_results == 0 and not found.resources

    def step_query_with_bad_filter(self):
        # As a plain dictionary: scim2-client would refuse to send it otherwise.
        bad = {"query_parameters": {"filter": "userName eq"}, "check_request_payload": False}
        self.refused(400, "invalidFilter", self.client.query, self.user_model, **bad)

    def step_replace_user(self):
        self.user.title = "Countess"
        self.user = self.client.replace(self.user)
        assert self.user.title == "Countess"

    def step_modify_user(self):
        before = self.user.meta.version
        self.user = self.modify(
            self.user_model, self.user.id,
            ("replace", "name.familyName", "King"),
            ("add", f"{ENTERPRISE}:department", "Engines"),
            ("remove", "title", None),
        )  # fmt: skip
        assert self.user.name.family_name == "King" and self.user.title is None
        assert self.user.model_dump()[ENTERPRISE]["department"] == "Engines"
        assert self.user.meta.version != before

    def step_modify_read_only(self):
        refuse = ("replace", "meta.created", "2000-01-01T00:00:00Z")
        self.refused(400, "mutability", self.modify, self.user_model, self.user.id, refuse)

    def step_create_group(self):
        self.group = self.client.create(
            self.group_model.model_validate(
                {"displayName": f"group-{self.name}", "members": [{"value": self.user.id}]}
            )
        )
        (member,) = self.group.members
        assert (member.value, member.type) == (self.user.id, "User")
        assert str(member.ref).endswith(f"/Users/{self.user.id}")

    def step_user_has_group(self):
        (group,) = self.client.query(self.user_model, self.user.id).groups
        assert (group.value, group.type) == (self.group.id, "direct")

    def step_add_unknown_member(self):
        unknown = ("add", "members", [{"value": str(uuid.uuid4())}])
        self.refused(400, "invalidValue", self.modify, self.group_model, self.group.id, unknown)

    def step_remove_and_add_member(self):
        member = [{"value": self.user.id}]
        left = self.modify(self.group_model, self.group.id, ("remove", f'members[value eq "{self.user.id}"]', None))
        assert not left.members
        back = self.modify(self.group_model, self.group.id, ("add", "members", member))
        assert [one.value for one in back.members] == [self.user.id]

    def step_replace_members(self):
        group = self.modify(self.group_model, self.group.id, ("replace", "members", [{"value": self.user.id}]))
        (member,) = group.members
        assert (member.value, member.type, member.display) == (self.user.id, "User", self.name)

    def step_deactivate_user(self):
        self.modify(self.user_model, self.user.id, ("replace", "active", False))
        assert self.client.query(self.user_model, self.user.id).active is False

    def step_delete_user(self):
        self.client.delete(self.user_model, self.user.id)
        self.refused(404, None, self.client.query, self.user_model, self.user.id)
        assert not self.client.query(self.group_model, self.group.id).members

    def step_delete_group(self):
        self.client.delete(self.group_model, self.group.id)
        self.refused(404, None, self.client.delete, self.group_model, self.group.id)

    def find(self, text):
        return self.client.query(self.user_model, query_parameters=SearchRequest(filter=text))

    def modify(self, model, id, *operations, **options):
        listed = [{"op": op, "path": path, "value": value} for op, path, value in operations]
        payload = {"Operations": [{k: v for k, v in one.items() if v is not None} for one in listed]}
        payload["schemas"] = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
        return self.client.modify(model, id, payload, check_request_payload=False, **options)

    def refused(self, status, scim_type, request, *arguments, **options):
        error = request(*arguments, raise_scim_errors=False, **options)
        assert isinstance(error, Error), error
        assert (error.status, error.scim_type) == (status, scim_type), error
        assert error.detail, error


def run(client):
    """Runs every step, whatever became of those before it."""
    life = Life(client)
    checks = []
    for name in [name for name in vars(Life) if name.startswith("step_")]:
        try:
            getattr(life, name)()
            checks.append(("passed", name.removeprefix("step_"), ""))
        except Exception as error:
            checks.append(("failed", name.removeprefix("step_"), f"{type(error).__name__}: {error}"))
    return checks
