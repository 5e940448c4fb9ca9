"""database.yaml: who reaches the database, how long backups are kept, and how it is wired in."""

import json
import re
from typing import Any

import pytest

from local import template as sam
from local.template import ROOT, Template

NESTED = sam.read_template(ROOT / "database.yaml")
RESOURCES: dict[str, dict[str, Any]] = {
    name: one.get("Properties", {}) for name, one in NESTED["Resources"].items()
}


def test_template_yaml_gives_it_what_it_needs_and_takes_what_there_is(source: Template) -> None:
    ((_, stack),) = sam.resources(source, sam.NESTED_STACK)
    assert (ROOT / stack["TemplateURL"]).name == "database.yaml"
    declared = NESTED["Parameters"]
    given = stack["Parameters"].keys()
    assert given <= declared.keys()
    assert {name for name, one in declared.items() if "Default" not in one} <= given
    taken = set(re.findall(r'"Database", "Outputs\.(\w+)"', json.dumps(source)))
    taken |= set(re.findall(r'"Database\.Outputs\.(\w+)"', json.dumps(source)))
    assert {"SecretArn", "Host", "Name"} <= taken <= NESTED["Outputs"].keys()


def test_the_functions_reach_the_proxy_the_proxy_the_database_and_nobody_else_either() -> None:
    function = {"Ref": "FunctionSecurityGroupId"}
    proxy, database = {"Ref": "ProxySecurityGroup"}, {"Ref": "DatabaseSecurityGroup"}
    for group, from_whom in (("ProxySecurityGroup", function), ("DatabaseSecurityGroup", proxy)):
        (rule,) = RESOURCES[group]["SecurityGroupIngress"]
        assert rule["SourceSecurityGroupId"] == from_whom
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 5432, 5432)
        (out,) = RESOURCES[group]["SecurityGroupEgress"]
        assert out["CidrIp"] == "127.0.0.1/32"
    assert RESOURCES["ProxyToDatabase"]["DestinationSecurityGroupId"] == database
    assert RESOURCES["Database"]["VPCSecurityGroups"] == [database]
    assert RESOURCES["Database"]["PubliclyAccessible"] is False
    assert RESOURCES["Proxy"]["VpcSecurityGroupIds"] == [proxy]


def test_nobody_speaks_to_it_without_tls_or_by_an_old_kind_of_password() -> None:
    settings = RESOURCES["ParameterGroup"]["Parameters"]
    assert (settings["rds.force_ssl"], settings["password_encryption"]) == ("1", "scram-sha-256")
    assert RESOURCES["Proxy"]["RequireTLS"] is True
    (login,) = RESOURCES["Proxy"]["Auth"]
    assert login["ClientPasswordAuthType"] == "POSTGRES_SCRAM_SHA_256"


def test_its_log_shows_no_values() -> None:
    settings = RESOURCES["ParameterGroup"]["Parameters"]
    assert settings["log_parameter_max_length"] == "0"
    # The default names the row that broke a constraint.
    assert settings["log_error_verbosity"] == "terse"


@pytest.mark.parametrize(
    ("rule", "days", "schedule"),
    [("daily", 7, "cron(0 3 ? * MON-SAT *)"), ("sunday", 28, "cron(0 3 ? * SUN *)")],
)
def test_there_is_a_backup_each_day_and_sundays_is_kept_longer(
    rule: str, days: int, schedule: str
) -> None:
    rules = RESOURCES["Plan"]["BackupPlan"]["BackupPlanRule"]
    (found,) = [one for one in rules if one["RuleName"] == rule]
    assert found["ScheduleExpression"] == schedule
    assert found["Lifecycle"] == {"DeleteAfterDays": days}
    ((copy,), _) = found["CopyActions"]["Fn::If"][1:]
    assert copy["Lifecycle"] == {"DeleteAfterDays": days}


def test_no_mistake_takes_the_data_away() -> None:
    database = NESTED["Resources"]["Database"]
    assert database["Properties"]["DeletionProtection"] is True
    assert database["Properties"]["BackupRetentionPeriod"] == 7
    assert (database["DeletionPolicy"], database["UpdateReplacePolicy"]) == ("Snapshot", "Retain")
    for name in ("Vault", "Key"):  # without the key no backup can be read
        assert NESTED["Resources"][name]["DeletionPolicy"] == "Retain"
