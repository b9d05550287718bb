"""Which of the two packages named contree_sdk is under test, and what may differ between them."""

import os

# Read before a test takes such variables out of the environment.
OURS = os.environ["CONTREE_TEST_SDK"] == "ours"

# A request that fails is sent again by ours, for some seconds in all; tests of what becomes of it
# when it goes on failing need no more than one further attempt. The published package has none.
FEW_TRIES = {"transport_retries": 1} if OURS else {}
