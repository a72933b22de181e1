"""What expressions give: paths are looked up here, all else is worked out in a jailed child."""
