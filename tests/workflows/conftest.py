"""As in tests/executions: property tests have no deadline, since no timing is asserted."""

import hypothesis

hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")
