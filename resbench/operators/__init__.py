"""Each of torch's operators has a cost: rules go by name, formulas are functions of shapes."""
