"""The telephone numbers of the simulator."""

CONTACT_CENTRE = "+12025550199"
STAGING_CENTRE = "+12025550198"
TEST_LINE = "+12025550100"  # known good, and an echo: for control calls
BUSY_LINE = "+12025550101"
UNANSWERED_LINE = "+12025550102"
UNOBTAINABLE_LINE = "+12025550103"
OUR_NUMBER = "+12025550143"  # what the examples call from; any other works as well
