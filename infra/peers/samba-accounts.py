"""Makes the accounts that the tests ask about, inside Samba's folder (fetch-samba.sh), and prints their relative identifiers."""
import json
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB

parameters = LoadParm()
parameters.load("/etc/samba/smb.conf")
database = SamDB(session_info=system_session(), lp=parameters)


def rid(account):
    (found,) = database.search(expression=f"(sAMAccountName={account})", attrs=["objectSid"])
    return int(str(ndr_unpack(security.dom_sid, found["objectSid"][0])).rpartition("-")[2])


for name, password in (("testpc1", "Machine-Passw0rd-1"), ("testpc2", "Machine-Passw0rd-2"), ("disabled", "Machine-Passw0rd-3")):
    database.newcomputer(name)
    database.setpassword(f"(sAMAccountName={name}$)", password)
# Of the second one there is a password before the current one.
database.setpassword("(sAMAccountName=testpc2$)", "Machine-Passw0rd-2b")
database.disable_account("(sAMAccountName=disabled$)")
database.newuser("person", "Person-Passw0rd-1")
accounts = {name: rid(f"{name}$") for name in ("testpc1", "testpc2", "disabled")}
print(json.dumps({**accounts, "person": rid("person"), "group": rid("Domain Users")}))
