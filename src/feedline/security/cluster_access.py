"""Users and rules on a cluster: put in place, idempotently, through librdkafka's admin client."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from feedline.errors import AuthenticationError, BrokerUnavailableError
from feedline.kafka.errors import translate
from feedline.security.principals import Rule

ITERATIONS = 8192
REQUEST_SECONDS = 30.0
SEEN_WITHIN_S = 30.0
_MECHANISM = ScramMechanism.SCRAM_SHA_512


def new_password() -> str:
    """192 random bits, in characters that no configuration file trips over."""
    return secrets.token_urlsafe(24)


def set_passwords(admin: AdminClient, passwords: Mapping[str, str]) -> None:
    """Makes these SCRAM-SHA-512 users, or gives them new passwords; returns when the cluster says that it has them.

    An open connection stays open; every new one needs the new password. Raises AuthenticationError when the
    principal may not give passwords, and what `translate` makes of a refusal.
    """
    if passwords:
        require_cluster_rights(admin, AclOperation.ALTER)
    changes: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(user, ScramCredentialInfo(_MECHANISM, ITERATIONS), password.encode())
        for user, password in passwords.items()
    ]
    if changes:
        for future in admin.alter_user_scram_credentials(changes, request_timeout=REQUEST_SECONDS).values():
            _result(future)


def users(admin: AdminClient) -> set[str]:
    """The names of all SCRAM users; raises AuthenticationError when the principal may not see them."""
    # The client does not survive the refusal of this request: it ends the whole process.
    require_cluster_rights(admin, AclOperation.DESCRIBE)
    # One future when nobody is named.
    described: Any = admin.describe_user_scram_credentials(request_timeout=REQUEST_SECONDS)
    return set(_result(described))


def put_rules(admin: AdminClient, wanted: Iterable[Rule]) -> list[Rule]:
    """Makes the rules that are missing; returns those that were made, when every broker that is asked shows them.

    Raises AuthenticationError, before anything is changed, when the principal may not see or make rules.
    """
    require_cluster_rights(admin, AclOperation.DESCRIBE, AclOperation.ALTER)
    missing = sorted(set(wanted) - _rules_shown(admin))
    if missing:
        for future in admin.create_acls([_binding(rule) for rule in missing], request_timeout=REQUEST_SECONDS).values():
            _result(future)
        _await(admin, set(missing))
    return missing


def remove_rules(admin: AdminClient, unwanted: Iterable[Rule]) -> list[Rule]:
    """Takes these rules away; returns those that were there. Raises what `put_rules` raises."""
    require_cluster_rights(admin, AclOperation.DESCRIBE, AclOperation.ALTER)
    found = sorted(set(unwanted) & _rules_shown(admin))
    filters = [
        AclBindingFilter(
            ResourceType[rule.resource], rule.name, ResourcePatternType[rule.pattern], f"User:{rule.principal}", "*",
            AclOperation[rule.operation], AclPermissionType.ALLOW,
        )
        for rule in found
    ]  # fmt: skip
    if filters:
        for future in admin.delete_acls(filters, request_timeout=REQUEST_SECONDS).values():
            _result(future)
    return found


def current_rules(admin: AdminClient) -> set[Rule]:
    """Every rule of the cluster that allows something to a user from any host.

    Raises AuthenticationError when the principal may not see them.
    """
    # The client makes an empty answer of the refusal of this request: every rule would pass for missing.
    require_cluster_rights(admin, AclOperation.DESCRIBE)
    return _rules_shown(admin)


def require_cluster_rights(admin: AdminClient, *needed: AclOperation) -> None:
    """Raises AuthenticationError, which names them, when the principal has not all these rights on the cluster.

    A cluster without an authorizer gives everybody every right.
    """
    described = _result(admin.describe_cluster(include_authorized_operations=True, request_timeout=REQUEST_SECONDS))
    # None for a principal without any.
    missing = [one.name for one in needed if one not in (described.authorized_operations or ())]
    if missing:
        raise AuthenticationError(
            f"this principal has not the right to {' and '.join(missing)} on the cluster itself, without which users "
            "and rules cannot be seen or changed: grant it, or act as the principal of provisioning"
        )


def _rules_shown(admin: AdminClient) -> set[Rule]:
    anything: Any = None
    every = AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        anything,
        anything,
        AclOperation.ANY,
        AclPermissionType.ALLOW,
    )
    return {
        Rule(
            one.principal.removeprefix("User:"),
            one.restype.name,
            one.name,
            one.operation.name,
            one.resource_pattern_type.name,
        )
        for one in _result(admin.describe_acls(every, request_timeout=REQUEST_SECONDS))
        if one.host == "*"
    }


def _await(admin: AdminClient, made: set[Rule]) -> None:
    deadline = time.monotonic() + SEEN_WITHIN_S
    while not made <= _rules_shown(admin):
        if time.monotonic() > deadline:
            raise BrokerUnavailableError("the cluster took the access rules but does not show them yet: try again")
        time.sleep(0.1)


def _binding(rule: Rule) -> AclBinding:
    return AclBinding(
        ResourceType[rule.resource], rule.name, ResourcePatternType[rule.pattern], f"User:{rule.principal}", "*",
        AclOperation[rule.operation], AclPermissionType.ALLOW,
    )  # fmt: skip


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except KafkaException as error:
        cause: KafkaError = error.args[0]
        raise translate(cause) from error
