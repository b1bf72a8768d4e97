"""What several tests share: builders of hostile inputs, and the tools of others as readers."""
